package main

// #include <stdlib.h>
// #include "callbacks.h"
import "C"

import (
	"math"
	"runtime/cgo"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"
)

//export callback_empty
func callback_empty() {}

// A goroutine answers each thread.
var asks, answers [4]chan uint32

//export callback_round_trip
func callback_round_trip(thread C.uint32_t) {
	asks[thread] <- uint32(thread)
	<-answers[thread]
}

func answer() {
	for i := range asks {
		ask, answer := make(chan uint32), make(chan uint32)
		asks[i], answers[i] = ask, answer
		go func() {
			for value := range ask {
				answer <- value
			}
		}()
	}
}

var service = make(chan request, 16)

//export callback_service
func callback_service() {
	reply := make(chan int, 1)
	service <- request{7, reply}
	<-reply
}

// callback_closure calls a closure whose handle C has as user data.
//
//export callback_closure
func callback_closure(closure C.uintptr_t, value C.uint32_t) C.uint32_t {
	return cgo.Handle(closure).Value().(func(C.uint32_t) C.uint32_t)(value)
}

const postsFit = 1_000

var posts = make(chan uint32, postsFit)

// callback_post is what C has to call to post without a wait.
//
//export callback_post
func callback_post(value C.uint32_t) {
	select {
	case posts <- uint32(value):
	default:
		panic("it fits")
	}
}

func callbackClosure() []figure {
	const calls = 200_000
	closure := cgo.NewHandle(func(value C.uint32_t) C.uint32_t { return value })
	defer closure.Delete()
	with, without := math.MaxFloat64, math.MaxFloat64
	for range 20 {
		crew := C.struct_crew{
			callee: C.CALLS_CLOSURE, closure: C.uintptr_t(closure), threads: 1, warm_up: 1_000, calls: calls,
		}
		with = min(with, float64(C.crew_work(&crew)))
		crew.callee = C.CALLS_EMPTY
		without = min(without, float64(C.crew_work(&crew)))
	}
	return []figure{{"ns_per_op", with / calls}, {"ns_over_hand", max(0, with-without) / calls}}
}

func callbackPost() []figure {
	const rounds = 200
	var posting float64
	for range rounds {
		crew := C.struct_crew{callee: C.CALLS_POST, threads: 1, calls: postsFit}
		posting += float64(C.crew_work(&crew))
		for range postsFit {
			<-posts
		}
	}
	return []figure{{"ns_per_op", posting / (rounds * postsFit)}}
}

func callbackSteady() []figure {
	const calls = 2_000_000
	crew := C.struct_crew{callee: C.CALLS_EMPTY, threads: 1, warm_up: 10_000, calls: calls}
	return []figure{{"ns_per_op", float64(C.crew_work(&crew)) / calls}}
}

func callbackFourThreads() []figure {
	const calls = 500_000
	crew := C.struct_crew{callee: C.CALLS_EMPTY, threads: 4, warm_up: 10_000, calls: calls}
	return []figure{{"ns_per_op", float64(C.crew_work(&crew)) / calls}}
}

func callbackFirst() []figure {
	extra := make([]int64, 2000)
	C.first_calls((*C.int64_t)(unsafe.Pointer(&extra[0])), C.size_t(len(extra)))
	return []figure{{"ns_extra", percentile(extra, 0.5)}}
}

// timedCalls also returns how long the calls took together, in nanoseconds.
func timedCalls(crew C.struct_crew) ([]int64, float64) {
	bytes := C.size_t(crew.threads) * C.size_t(crew.calls) * C.sizeof_int64_t
	crew.latencies = (*C.int64_t)(C.calloc(1, bytes))
	defer C.free(unsafe.Pointer(crew.latencies))
	wall := float64(C.crew_work(&crew))
	measured := unsafe.Slice((*int64)(unsafe.Pointer(crew.latencies)), int(crew.threads*crew.calls))
	latencies := slices.Clone(measured)
	return slices.DeleteFunc(latencies, func(ns int64) bool { return ns == 0 }), wall
}

// unhurried measures the callbacks that are made in the time, at most 5,000.
func unhurried() []figure {
	crew := C.struct_crew{
		callee: C.CALLS_EMPTY, threads: 1, warm_up: 10, calls: 5_000, pause_us: 1_000, limit_ms: 2_000,
	}
	latencies, _ := timedCalls(crew)
	return []figure{
		{"p50_us", percentile(latencies, 0.5) / 1e3}, {"p99_us", percentile(latencies, 0.99) / 1e3},
	}
}

func callbackIdle() []figure {
	return unhurried()
}

func callbackHogged() []figure {
	var stop atomic.Bool
	var results atomic.Uint64
	for range procs() {
		go func() {
			x := uint64(1)
			for !stop.Load() {
				x = scramble(x)
			}
			results.Add(x)
		}()
	}
	figures := unhurried()
	stop.Store(true)
	return figures
}

func callbackChannel() []figure {
	answer()
	crew := C.struct_crew{callee: C.CALLS_CHANNEL, threads: 1, warm_up: 200, calls: 20_000}
	latencies, _ := timedCalls(crew)
	return []figure{
		{"p50_us", percentile(latencies, 0.5) / 1e3}, {"p99_us", percentile(latencies, 0.99) / 1e3},
	}
}

func callbackFourChannels() []figure {
	answer()
	const calls = 5_000
	crew := C.struct_crew{callee: C.CALLS_CHANNEL, threads: 4, warm_up: 200, calls: calls}
	latencies, wall := timedCalls(crew)
	return []figure{{"us_per_call", wall / calls / 1e3}, {"p99_us", percentile(latencies, 0.99) / 1e3}}
}

// serviceBesideHogs has servers that begin first, and goroutines that compute until the process
// ends.
func serviceBesideHogs(hogs int) []figure {
	settle := func() { time.Sleep(50 * time.Millisecond) }
	for range 4 {
		go func() {
			for request := range service {
				request.reply <- request.value + 1
			}
		}()
	}
	settle()
	for range hogs {
		go compute(math.MaxInt64)
	}
	settle()
	crew := C.struct_crew{
		callee: C.CALLS_SERVICE, threads: 1, calls: 5_000, pause_us: 10_000, limit_ms: 2_000,
	}
	latencies, _ := timedCalls(crew)
	return []figure{
		{"p50_us", percentile(latencies, 0.5) / 1e3}, {"worst_ms", percentile(latencies, 1) / 1e6},
	}
}

func threadMemory() []figure {
	const threads = 500
	return []figure{{"bytes_per_thread", float64(C.bound_threads_memory(threads)) / threads}}
}
