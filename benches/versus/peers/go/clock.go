package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func timers(sleepers int) []figure {
	late := make([]int64, sleepers)
	var done sync.WaitGroup
	began, before := time.Now(), processorTime()
	done.Add(sleepers)
	for i := range late {
		go func() {
			deadline := time.Now().Add(nap(i))
			time.Sleep(time.Until(deadline))
			late[i] = time.Since(deadline).Nanoseconds()
			done.Done()
		}()
	}
	done.Wait()
	wall, cpu := time.Since(began), processorTime()-before
	return []figure{
		{"wall_ms", ms(wall)},
		{"cpu_ms", ms(cpu)},
		{"late_p50_ms", percentile(late, 0.5) / 1e6},
		{"late_p99_ms", percentile(late, 0.99) / 1e6},
	}
}

// besideATicker returns how long the work takes, and the worst gap of a ticker of 1 ms meanwhile.
func besideATicker(work func()) (took, worst time.Duration) {
	var stop atomic.Bool
	var ticks atomic.Int64
	gap := make(chan time.Duration)
	go func() {
		var worst time.Duration
		for last := time.Now(); !stop.Load(); ticks.Add(1) {
			time.Sleep(time.Millisecond)
			now := time.Now()
			worst = max(worst, now.Sub(last))
			last = now
		}
		gap <- worst
	}()
	for ticks.Load() < 3 {
		runtime.Gosched()
	}
	began := time.Now()
	work()
	took = time.Since(began)
	stop.Store(true)
	return took, <-gap
}

// blocking calls the kernel by the syscall package, which tells the scheduler before and after.
func blocking() []figure {
	took, gap := besideATicker(func() {
		var done sync.WaitGroup
		done.Add(64)
		for range 64 {
			go func() {
				left := syscall.NsecToTimespec(20_000_000)
				// A signal of the scheduler may interrupt it.
				for syscall.Nanosleep(&left, &left) == syscall.EINTR {
				}
				done.Done()
			}()
		}
		done.Wait()
	})
	return []figure{{"wall_ms", ms(took)}, {"gap_ms", ms(gap)}}
}

func hogs(hogs int, each time.Duration) []figure {
	_, gap := besideATicker(func() {
		var done sync.WaitGroup
		var results atomic.Uint64
		done.Add(hogs)
		for range hogs {
			go func() {
				results.Add(compute(each))
				done.Done()
			}()
		}
		done.Wait()
		sink += results.Load()
	})
	return []figure{{"gap_ms", ms(gap)}}
}
