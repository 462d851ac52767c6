// The workloads of benches/versus in Go. benches/versus/src/workload.rs describes them.
//
//	go build -o peer . && VERSUS_PROCS=2 ./peer WORKLOAD
//
// Prints a line `FIGURE VALUE` for each figure, or `unsupported`. The build needs cgo, because the
// callbacks come from C.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

type figure struct {
	name  string
	value float64
}

var workloads = map[string]func() []figure{
	"yield1":            func() []figure { return yields(1, 2_000_000) },
	"yield1000":         func() []figure { return yields(1000, 2_000) },
	"spawn100k":         spawn100k,
	"spawn1000":         spawn1000,
	"tree16":            func() []figure { return tree(16) },
	"pingpong":          func() []figure { return pingPong(300_000) },
	"prodcons":          func() []figure { return prodCons(1_000_000) },
	"mutex":             func() []figure { return contended(8, 200_000) },
	"select":            func() []figure { return selects(400_000) },
	"fanout":            func() []figure { return fanOut(200_000) },
	"pipeline":          func() []figure { return pipeline(100_000) },
	"reqreply":          func() []figure { return requestReply(1_000) },
	"ring":              func() []figure { return ring(500_000) },
	"broadcast":         func() []figure { return broadcast(200) },
	"busy_maker":        func() []figure { return busyMaker(25_000) },
	"parallel_sum":      parallelSum,
	"pool":              pool,
	"mix":               mix,
	"light1ms":          func() []figure { return lightValues(time.Millisecond) },
	"light200us":        func() []figure { return lightValues(200 * time.Microsecond) },
	"light100us":        func() []figure { return lightValues(100 * time.Microsecond) },
	"light_sleep":       lightSleepers,
	"parked100k":        func() []figure { return parked(100_000) },
	"parked1m":          func() []figure { return parked(1_000_000) },
	"timers":            func() []figure { return timers(100_000) },
	"blocking":          blocking,
	"hog":               func() []figure { return hogs(procs(), 2*time.Second) },
	"hog200":            func() []figure { return hogs(200, 50*time.Millisecond) },
	"callback_steady":   callbackSteady,
	"callback_first":    callbackFirst,
	"callback_4threads": callbackFourThreads,
	"callback_hogged":   callbackHogged,
	"callback_idle":     callbackIdle,
	"callback_chan1":    callbackChannel,
	"callback_chan4":    callbackFourChannels,
	"callback_call":     callbackChannel,
	"callback_closure":  callbackClosure,
	"callback_post":     callbackPost,
	"service2":          func() []figure { return serviceBesideHogs(2) },
	"service8":          func() []figure { return serviceBesideHogs(8) },
	"service32":         func() []figure { return serviceBesideHogs(32) },
	"thread_memory":     threadMemory,
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: peer WORKLOAD")
		os.Exit(2)
	}
	runtime.GOMAXPROCS(procs())
	workload, known := workloads[os.Args[1]]
	if !known {
		fmt.Println("unsupported")
		return
	}
	for _, f := range workload() {
		fmt.Printf("%s %.3f\n", f.name, f.value)
	}
}

// procs returns how many Ps there shall be.
func procs() int {
	if n, err := strconv.Atoi(os.Getenv("VERSUS_PROCS")); err == nil && n > 0 {
		return n
	}
	return 2
}
