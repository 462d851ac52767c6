package main

// #include "callbacks.h"
import "C"

import "time"

var light = make(chan time.Time, 16)

//export callback_light
func callback_light() {
	light <- time.Now()
}

// lightLoad returns the figures of what began then, with the latencies in nanoseconds.
func lightLoad(began time.Time, before time.Duration, took []int64) []figure {
	cpu := ms(processorTime()-before) / time.Since(began).Seconds()
	return []figure{
		{"cpu_ms_per_s", cpu},
		{"p50_us", percentile(took, 0.5) / 1e3},
		{"p99_us", percentile(took, 0.99) / 1e3},
	}
}

// lightValues are sent by a thread of C, through one goroutine to another.
func lightValues(every time.Duration) []figure {
	began, before := time.Now(), processorTime()
	relayed := make(chan time.Time, 16)
	go func() {
		for sent := range light {
			relayed <- sent
		}
		close(relayed)
	}()
	go func() {
		C.call_light(C.uint32_t(every.Microseconds()), 1_000)
		close(light)
	}()
	var took []int64
	for sent := range relayed {
		took = append(took, time.Since(sent).Nanoseconds())
	}
	return lightLoad(began, before, took)
}

// lightSleepers sleep for a millisecond, again and again.
func lightSleepers() []figure {
	began, before := time.Now(), processorTime()
	late := make(chan []int64)
	for range 4 {
		go func() {
			var mine []int64
			for time.Since(began) < time.Second {
				deadline := time.Now().Add(time.Millisecond)
				time.Sleep(time.Until(deadline))
				mine = append(mine, time.Since(deadline).Nanoseconds())
			}
			late <- mine
		}()
	}
	var all []int64
	for range 4 {
		all = append(all, <-late...)
	}
	return lightLoad(began, before, all)
}
