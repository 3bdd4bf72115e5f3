package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"fluxbase/actors/kernel"
)

var _ kernel.History = (*Store)(nil)

// A history is a hash with its epoch, the offset of its newest entry and the claim of
// whoever may append, and a list of its entries. Both carry the key in braces: they
// live on one node of a Redis cluster.
var (
	claimScript = redis.NewScript(`
		redis.call('HSETNX', KEYS[1], 'epoch', ARGV[2])
		redis.call('HSETNX', KEYS[1], 'offset', '0')
		redis.call('HSET', KEYS[1], 'claim', ARGV[1])
		redis.call('PEXPIRE', KEYS[1], ARGV[3])
		redis.call('PEXPIRE', KEYS[2], ARGV[3])
		return {redis.call('HGET', KEYS[1], 'epoch'), redis.call('HGET', KEYS[1], 'offset'), redis.call('LRANGE', KEYS[2], 0, -1)}`)

	appendScript = redis.NewScript(`
		if redis.call('HGET', KEYS[1], 'claim') ~= ARGV[1] or redis.call('HGET', KEYS[1], 'offset') ~= ARGV[2] then
			return 0
		end
		for i = 6, #ARGV do
			redis.call('RPUSH', KEYS[2], ARGV[i])
		end
		redis.call('LTRIM', KEYS[2], -tonumber(ARGV[4]), -1)
		redis.call('HSET', KEYS[1], 'offset', ARGV[3])
		redis.call('PEXPIRE', KEYS[1], ARGV[5])
		redis.call('PEXPIRE', KEYS[2], ARGV[5])
		return 1`)

	renewScript = redis.NewScript(`
		if redis.call('HGET', KEYS[1], 'claim') ~= ARGV[1] then
			return 0
		end
		redis.call('PEXPIRE', KEYS[1], ARGV[2])
		redis.call('PEXPIRE', KEYS[2], ARGV[2])
		return 1`)
)

func historyKeys(key string) []string {
	return []string{prefix + "history:{" + key + "}", prefix + "entries:{" + key + "}"}
}

// Claim implements kernel.History.
func (s *Store) Claim(ctx context.Context, key string, epoch uint64, age time.Duration) (kernel.Kept, error) {
	k := kernel.Kept{Claim: rand.Text()}
	res, err := s.run(ctx, claimScript, historyKeys(key), k.Claim, strconv.FormatUint(epoch, 10), age.Milliseconds()).Slice()
	if err != nil {
		return kernel.Kept{}, fmt.Errorf("claim a history: %w", err)
	}
	if len(res) != 3 {
		return kernel.Kept{}, fmt.Errorf("claim a history: %d answers", len(res))
	}
	entries, ok := res[2].([]any)
	if k.Epoch, err = number(res[0]); err != nil || !ok {
		return kernel.Kept{}, fmt.Errorf("claim a history: its epoch is %v: %w", res[0], err)
	}
	if k.Offset, err = number(res[1]); err != nil {
		return kernel.Kept{}, fmt.Errorf("claim a history: its offset is %v: %w", res[1], err)
	}
	for _, e := range entries {
		text, ok := e.(string)
		if !ok {
			return kernel.Kept{}, fmt.Errorf("claim a history: an entry is a %T", e)
		}
		k.Entries = append(k.Entries, []byte(text))
	}
	if uint64(len(k.Entries)) > k.Offset {
		return kernel.Kept{}, fmt.Errorf("claim a history: %d entries up to %d", len(k.Entries), k.Offset)
	}
	return k, nil
}

func number(v any) (uint64, error) {
	text, _ := v.(string)
	return strconv.ParseUint(text, 10, 64)
}

// Append implements kernel.History.
func (s *Store) Append(ctx context.Context, key, claim string, behind uint64, entries [][]byte, keep int, age time.Duration) error {
	args := make([]any, 0, 5+len(entries))
	args = append(args, claim, strconv.FormatUint(behind, 10), strconv.FormatUint(behind+uint64(len(entries)), 10), keep, age.Milliseconds())
	for _, e := range entries {
		args = append(args, e)
	}
	return done(s.run(ctx, appendScript, historyKeys(key), args...).Int())
}

// Renew implements kernel.History.
func (s *Store) Renew(ctx context.Context, key, claim string, age time.Duration) error {
	return done(s.run(ctx, renewScript, historyKeys(key), claim, age.Milliseconds()).Int())
}

func done(n int, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("write a history: %w", err)
	case n == 0:
		return kernel.ErrSuperseded
	}
	return nil
}
