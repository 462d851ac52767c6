package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

func nsPerOp(operations int, began time.Time) []figure {
	return []figure{{"ns_per_op", float64(time.Since(began).Nanoseconds()) / float64(operations)}}
}

func ms(d time.Duration) float64 {
	return d.Seconds() * 1e3
}

// percentile sorts the values, and returns the value below which that part of them lies.
func percentile(values []int64, part float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return float64(values[int(float64(len(values)-1)*part)])
}

// memory returns the named entries of /proc/self/status in bytes.
func memory(keys ...string) float64 {
	status, err := os.ReadFile("/proc/self/status")
	check(err)
	sum := 0.0
	for line := range strings.SplitSeq(string(status), "\n") {
		name, rest, _ := strings.Cut(line, ":")
		if slices.Contains(keys, name) {
			var kib float64
			_, err := fmt.Sscanf(rest, "%f kB", &kib)
			check(err)
			sum += kib * 1024
		}
	}
	return sum
}

// processorTime returns what this process has used, in user code and in the kernel.
func processorTime() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// nap returns how long the sleeper of that number sleeps: less than a second, the same in all
// peers.
func nap(index int) time.Duration {
	random := uint64(index)*6_364_136_223_846_793_005 + 1_442_695_040_888_963_407
	return time.Duration((random>>33)%1_000_000) * time.Microsecond
}

// scramble is arithmetic that no compiler leaves out as long as its result is used.
func scramble(x uint64) uint64 {
	for range 1000 {
		x = x*6_364_136_223_846_793_005 + 1
	}
	return x
}

// sink uses results.
var sink uint64

// compute computes for this time.
func compute(d time.Duration) uint64 {
	x := uint64(1)
	for began := time.Now(); time.Since(began) < d; {
		x = scramble(x)
	}
	return x
}
