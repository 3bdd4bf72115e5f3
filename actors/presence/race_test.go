//go:build race

package presence

// raceEnabled tells that the race detector slows this run down.
const raceEnabled = true
