package measure

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is USER_HZ, which is 100 on every Linux that Go runs on.
const clockTick = time.Second / 100

// Processes reads CPU time and memory of a set of processes from /proc.
type Processes []int

// Tree is pid and all its descendants, as of now.
func Tree(pid int) Processes {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		fields, err := statFields(path)
		if err != nil {
			continue
		}
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], child)
	}
	tree := Processes{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree
}

// CPU is the user and system time that the processes have used, the time of
// children that they have reaped included (PostgreSQL back ends come and go).
// Processes that have ended count as zero.
func (p Processes) CPU() time.Duration {
	var ticks int64
	for _, pid := range p {
		fields, err := statFields(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		for _, i := range []int{11, 12, 13, 14} {
			n, _ := strconv.ParseInt(fields[i], 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * clockTick
}

// RSS is the resident memory in bytes.
func (p Processes) RSS() int64 {
	var pages int64
	for _, pid := range p {
		statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(statm))
		if len(fields) > 1 {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			pages += n
		}
	}
	return pages * int64(os.Getpagesize())
}

// statFields are the fields of a stat file behind the command name: index 0 is
// the state, 1 the parent, 11 to 14 the CPU times.
func statFields(path string) ([]string, error) {
	stat, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	end := strings.LastIndexByte(string(stat), ')')
	if end < 0 {
		return nil, fmt.Errorf("%s: no command name", path)
	}
	fields := strings.Fields(string(stat)[end+1:])
	if len(fields) < 15 {
		return nil, fmt.Errorf("%s: only %d fields", path, len(fields))
	}
	return fields, nil
}

// Parent is the parent of pid when pid is a local process whose command name
// contains name; 0 otherwise.
func Parent(pid int, name string) int {
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || !strings.Contains(string(command), name) {
		return 0
	}
	fields, err := statFields(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}
