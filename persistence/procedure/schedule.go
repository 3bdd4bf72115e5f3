package procedure

import (
	"fmt"
	"strings"

	"github.com/robfig/cron/v3"
)

var scheduleParser = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// ParseSchedule reads a cron expression of five fields, or of six with the seconds
// first, "@every 90s", or a name like "@daily". Times are UTC unless it begins with
// "CRON_TZ=Europe/Berlin ". Nothing is due more often than once a second.
func ParseSchedule(text string) (cron.Schedule, error) {
	if zone, found := strings.CutPrefix(strings.TrimPrefix(text, "CRON_"), "TZ="); found && !strings.Contains(zone, " ") {
		return nil, fmt.Errorf("the schedule %q has a time zone and nothing else", text)
	}
	if len(text) > 200 {
		return nil, fmt.Errorf("the schedule is longer than 200 bytes")
	}
	if !strings.Contains(text, "TZ=") {
		text = "CRON_TZ=UTC " + text
	}
	s, err := scheduleParser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the schedule cannot be read: %w", err)
	}
	return s, nil
}
