package feed

import (
	"time"

	"fluxbase/actors/kernel"
)

// pressEvery is the time between looks at a window that is full.
const pressEvery = 250 * time.Millisecond

// press cuts the subscribers whose backlog fills the window while the others wait.
// Who is alone keeps nobody waiting.
func (f *feed) press(c *kernel.Context) {
	if f.pressing {
		return
	}
	cut, more := f.patience.Check(f.window, time.Now())
	if cut != nil && len(f.registry.subscribers) > 1 {
		c.Logger().Warn("subscribers that are too slow keep the others waiting", "window_bytes", f.window.Used())
		for ref := range f.registry.subscribers {
			// One that is gone holds nothing.
			_ = ref.Tell(*cut)
		}
		for ref := range f.replays {
			_ = ref.Tell(*cut)
		}
	}
	if more {
		f.pressing = true
		c.After(pressEvery, press{})
	}
}
