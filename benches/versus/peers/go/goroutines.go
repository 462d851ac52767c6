package main

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// yields does a tenth of the work first, which is not counted.
func yields(goroutines, each int) []figure {
	all := func(each int) {
		var done sync.WaitGroup
		done.Add(goroutines)
		for range goroutines {
			go func() {
				for range each {
					runtime.Gosched()
				}
				done.Done()
			}()
		}
		done.Wait()
	}
	all(each / 10)
	began := time.Now()
	all(each)
	return nsPerOp(goroutines*each, began)
}

// collect starts as many goroutines as there are results, and waits for them.
func collect(results []int) int {
	var done sync.WaitGroup
	done.Add(len(results))
	for i := range results {
		go func() {
			results[i] = i
			done.Done()
		}()
	}
	done.Wait()
	sum := 0
	for _, result := range results {
		sum += result
	}
	return sum
}

// spawn100k is the median of five rounds after one.
func spawn100k() []figure {
	const goroutines = 100_000
	var rounds []float64
	results := make([]int, goroutines)
	for range 6 {
		began := time.Now()
		sink += uint64(collect(results))
		rounds = append(rounds, float64(time.Since(began).Nanoseconds())/goroutines)
	}
	rounds = rounds[1:]
	slices.Sort(rounds)
	return []figure{{"ns_per_op", rounds[2]}}
}

func spawn1000() []figure {
	results := make([]int, 1000)
	batches := func(n int) {
		sum := 0
		for range n {
			sum += collect(results)
		}
		if sum != n*499_500 {
			panic("a result is missing")
		}
	}
	batches(10)
	began := time.Now()
	batches(500)
	return nsPerOp(500_000, began)
}

func tree(depth int) []figure {
	grow(depth - 2)
	began := time.Now()
	nodes := grow(depth)
	if nodes != 1<<(depth+1)-1 {
		panic("a node is missing")
	}
	return nsPerOp(nodes, began)
}

func grow(depth int) int {
	if depth == 0 {
		return 1
	}
	var children sync.WaitGroup
	var nodes [2]int
	children.Add(2)
	for i := range nodes {
		go func() {
			nodes[i] = grow(depth - 1)
			children.Done()
		}()
	}
	children.Wait()
	return 1 + nodes[0] + nodes[1]
}

func contended(goroutines, each int) []figure {
	var mutex sync.Mutex
	var done sync.WaitGroup
	counter := 0
	began := time.Now()
	done.Add(goroutines)
	for range goroutines {
		go func() {
			for range each {
				mutex.Lock()
				counter++
				mutex.Unlock()
			}
			done.Done()
		}()
	}
	done.Wait()
	if counter != goroutines*each {
		panic("an increment is missing")
	}
	return nsPerOp(counter, began)
}

// parked counts resident memory and page tables.
func parked(goroutines int) []figure {
	runtime.GC()
	before := memory("VmRSS", "VmPTE")
	never := make(chan struct{})
	var waiting atomic.Int64
	for range goroutines {
		go func() {
			waiting.Add(1)
			<-never
		}()
	}
	for waiting.Load() < int64(goroutines) {
		runtime.Gosched()
	}
	// The last goroutines are on their way into the channel.
	time.Sleep(20 * time.Millisecond)
	return []figure{{"bytes_per_g", (memory("VmRSS", "VmPTE") - before) / float64(goroutines)}}
}
