package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"fluxbase/actors/kernel"
)

var _ kernel.SharedLimits = (*Store)(nil)

// A window begins with the first call and ends by itself. A call beyond the limit is
// not counted.
var allowScript = redis.NewScript(`
	local count = tonumber(redis.call('GET', KEYS[1]) or '0')
	if count >= tonumber(ARGV[1]) then
		return {-1, redis.call('PTTL', KEYS[1])}
	end
	count = redis.call('INCR', KEYS[1])
	if count == 1 then
		redis.call('PEXPIRE', KEYS[1], ARGV[2])
	end
	return {tonumber(ARGV[1]) - count, redis.call('PTTL', KEYS[1])}`)

// Allow implements kernel.SharedLimits.
func (s *Store) Allow(ctx context.Context, key string, limit int, window time.Duration) (remaining int, reset time.Duration, err error) {
	answer, err := s.run(ctx, allowScript, []string{prefix + "limit:" + key}, limit, window.Milliseconds()).Int64Slice()
	if err != nil {
		return 0, 0, fmt.Errorf("count a call: %w", err)
	}
	if len(answer) != 2 {
		return 0, 0, fmt.Errorf("count a call: %d answers", len(answer))
	}
	return int(answer[0]), time.Duration(max(answer[1], 0)) * time.Millisecond, nil
}
