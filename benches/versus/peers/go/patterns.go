package main

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// pipeline has a source, eight stages and a sink, in a line.
func pipeline(items int) []figure {
	const stages = 8
	began := time.Now()
	source := make(chan int, 16)
	out := source
	for range stages {
		from, next := out, make(chan int, 16)
		out = next
		go func() {
			for value := range from {
				next <- value + 1
			}
			close(next)
		}()
	}
	go func() {
		for value := range items {
			source <- value
		}
		close(source)
	}()
	sums := make(chan int)
	go func() {
		sum := 0
		for value := range out {
			sum += value
		}
		sums <- sum
	}()
	if <-sums != items*(items-1)/2+items*stages {
		panic("an item is missing")
	}
	return nsPerOp(items, began)
}

// requestReply is the slowest of three orders in which clients and servers are made.
func requestReply(each int) []figure {
	const clients, servers = 64, 4
	slowest := 0.0
	for _, order := range orders(servers + clients) {
		var asks [servers]chan request
		for i := range asks {
			asks[i] = make(chan request, 16)
		}
		var done sync.WaitGroup
		done.Add(clients)
		began := time.Now()
		for _, member := range order {
			asked := asks[member%servers]
			if member < servers {
				go func() {
					for request := range asked {
						request.reply <- request.value + 1
					}
				}()
				continue
			}
			go func() {
				reply := make(chan int, 1)
				for value := range each {
					asked <- request{value, reply}
					if <-reply != value+1 {
						panic("another reply came back")
					}
				}
				done.Done()
			}()
		}
		done.Wait()
		for _, ask := range asks {
			close(ask)
		}
		slowest = max(slowest, float64(time.Since(began).Nanoseconds())/float64(clients*each))
	}
	return []figure{{"ns_per_op", slowest}}
}

// orders returns three orders of so many: upwards, downwards, and mixed, the same in all peers.
func orders(n int) [3][]int {
	upwards := make([]int, n)
	for i := range upwards {
		upwards[i] = i
	}
	downwards, mixed := slices.Clone(upwards), slices.Clone(upwards)
	slices.Reverse(downwards)
	slices.SortStableFunc(mixed, func(a, b int) int { return int(nap(a) - nap(b)) })
	return [3][]int{upwards, downwards, mixed}
}

// ring has actors, each of which hands a number to the next, one less each time, until it is 0.
func ring(hops int) []figure {
	const actors = 503
	done := make(chan struct{}, 1)
	var boxes [actors]chan int
	for i := range boxes {
		boxes[i] = make(chan int, 1)
	}
	for i, from := range boxes {
		next := boxes[(i+1)%actors]
		go func() {
			for left := range from {
				if left == 0 {
					done <- struct{}{}
				} else {
					next <- left - 1
				}
			}
		}()
	}
	lap := func(hops int) {
		boxes[0] <- hops
		<-done
	}
	lap(hops / 10)
	began := time.Now()
	lap(hops)
	return nsPerOp(hops, began)
}

// broadcast sends a value to each of a thousand, and waits until each has said that it has it.
func broadcast(rounds int) []figure {
	const listeners = 1_000
	heard := make(chan int, listeners)
	var tell [listeners]chan int
	for i := range tell {
		told := make(chan int, 1)
		tell[i] = told
		go func() {
			for value := range told {
				heard <- value
			}
		}()
	}
	speak := func(rounds int) {
		for value := range rounds {
			for _, listener := range tell {
				listener <- value
			}
			for range tell {
				if <-heard != value {
					panic("another value was heard")
				}
			}
		}
	}
	figures := make(chan []figure)
	go func() {
		speak(rounds / 10)
		began := time.Now()
		speak(rounds)
		figures <- nsPerOp(rounds*listeners, began)
	}()
	return <-figures
}

// busyMaker makes four pairs that play ping-pong, and computes after each of the eight. Then they
// begin to play.
func busyMaker(roundTrips int) []figure {
	const pairs, busy = 4, 100 * time.Microsecond
	var players sync.WaitGroup
	players.Add(pairs)
	var starts [pairs]chan struct{}
	for i := range starts {
		ping, pong, start := make(chan int), make(chan int), make(chan struct{}, 1)
		starts[i] = start
		go func() {
			for value := range ping {
				pong <- value
			}
		}()
		sink += compute(busy)
		go func() {
			<-start
			for value := range roundTrips {
				ping <- value
				if <-pong != value {
					panic("another value came back")
				}
			}
			close(ping)
			players.Done()
		}()
		sink += compute(busy)
	}
	began := time.Now()
	for _, start := range starts {
		start <- struct{}{}
	}
	players.Wait()
	return nsPerOp(pairs*roundTrips, began)
}

// sumOf takes some nanoseconds for each item, which the items before it do not hide.
func sumOf(items []uint64) uint64 {
	sum := uint64(0)
	for _, item := range items {
		mixed := (sum ^ item) * 0xff51_afd7_ed55_8ccd
		sum = (mixed ^ mixed>>33) * 0xc4ce_b9fe_1a85_ec53
	}
	return sum
}

// parallelSum has a goroutine for each chunk, with one P and with all.
func parallelSum() []figure {
	const chunk = 1_000
	items := make([]uint64, 1_000_000)
	for i := range items {
		items[i] = uint64(i)
	}
	expected := uint64(0)
	for part := range slices.Chunk(items, chunk) {
		expected += sumOf(part)
	}
	sums := make([]uint64, len(items)/chunk)
	sum := func() uint64 {
		var done sync.WaitGroup
		done.Add(len(sums))
		for i := range sums {
			go func() {
				sums[i] = sumOf(items[i*chunk : (i+1)*chunk])
				done.Done()
			}()
		}
		done.Wait()
		all := uint64(0)
		for _, one := range sums {
			all += one
		}
		return all
	}
	// The median of eleven, after two.
	measured := func() float64 {
		var took []int64
		for range 13 {
			began := time.Now()
			if sum() != expected {
				panic("a chunk is missing")
			}
			took = append(took, time.Since(began).Nanoseconds())
		}
		return percentile(took[2:], 0.5)
	}
	runtime.GOMAXPROCS(1)
	one := measured()
	runtime.GOMAXPROCS(procs())
	all := measured()
	return []figure{{"ns_per_op", all / float64(len(items))}, {"part_of_one", all / one}}
}

// pool has eight workers that take jobs of 20 us.
func pool() []figure {
	const jobs = 10_000
	take := make(chan time.Duration, 8)
	var done sync.WaitGroup
	var results atomic.Uint64
	began := time.Now()
	for range 8 {
		done.Add(1)
		go func() {
			defer done.Done()
			for job := range take {
				results.Add(compute(job))
			}
		}()
	}
	for range jobs {
		take <- 20 * time.Microsecond
	}
	close(take)
	done.Wait()
	return nsPerOp(jobs, began)
}

// mix has four pairs that talk for a second, while two goroutines that were made among them
// compute.
func mix() []figure {
	const pairs = 4
	var stop atomic.Bool
	var trips, results atomic.Uint64
	worst := make(chan time.Duration, pairs)
	began := time.Now()
	for pair := range pairs {
		ping, pong := make(chan uint64), make(chan uint64)
		go func() {
			for value := range ping {
				pong <- value
			}
		}()
		go func() {
			var gap time.Duration
			made := uint64(0)
			for last := time.Now(); !stop.Load(); made++ {
				ping <- made
				if <-pong != made {
					panic("another value came back")
				}
				now := time.Now()
				gap = max(gap, now.Sub(last))
				last = now
			}
			close(ping)
			trips.Add(made)
			worst <- gap
		}()
		if pair < 2 {
			go func() {
				for !stop.Load() {
					results.Add(compute(time.Millisecond))
				}
			}()
		}
	}
	time.Sleep(time.Second)
	stop.Store(true)
	var gap time.Duration
	for range pairs {
		gap = max(gap, <-worst)
	}
	figures := nsPerOp(int(max(trips.Load(), 1)), began)
	return append(figures, figure{"worst_ms", ms(gap)})
}
