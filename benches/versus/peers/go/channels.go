package main

import (
	"sync"
	"time"
)

func pingPong(roundTrips int) []figure {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for value := range ping {
			pong <- value
		}
	}()
	rally := func(n int) {
		for value := range n {
			ping <- value
			if <-pong != value {
				panic("another value came back")
			}
		}
	}
	rally(roundTrips / 10)
	began := time.Now()
	rally(roundTrips)
	return nsPerOp(roundTrips, began)
}

func prodCons(items int) []figure {
	channel := make(chan int, 128)
	received := make([]int, 4)
	var producers, consumers sync.WaitGroup
	began := time.Now()
	for i := range received {
		consumers.Add(1)
		go func() {
			n := 0
			for range channel {
				n++
			}
			received[i] = n
			consumers.Done()
		}()
	}
	for range 4 {
		producers.Add(1)
		go func() {
			for value := range items / 4 {
				channel <- value
			}
			producers.Done()
		}()
	}
	producers.Wait()
	close(channel)
	consumers.Wait()
	figures := nsPerOp(items, began)
	if received[0]+received[1]+received[2]+received[3] != items {
		panic("an item is missing")
	}
	return figures
}

func selects(items int) []figure {
	var channels [4]chan int
	for i := range channels {
		channel := make(chan int, 16)
		channels[i] = channel
		go func() {
			for value := range items / 4 {
				channel <- value
			}
		}()
	}
	a, b, c, d := channels[0], channels[1], channels[2], channels[3]
	sum := 0
	began := time.Now()
	for range items {
		select {
		case value := <-a:
			sum += value
		case value := <-b:
			sum += value
		case value := <-c:
			sum += value
		case value := <-d:
			sum += value
		}
	}
	figures := nsPerOp(items, began)
	if n := items / 4; sum != 4*n*(n-1)/2 {
		panic("an item is missing")
	}
	return figures
}

type request struct {
	value int
	reply chan int
}

// fanOut measures requests of clients: a dispatcher hands each request to the next worker, which
// replies to the client.
func fanOut(requests int) []figure {
	const clients, servers = 64, 16
	asked := make(chan request, 64)
	began := time.Now()
	var workers [servers]chan request
	for i := range workers {
		handed := make(chan request, 16)
		workers[i] = handed
		go func() {
			for request := range handed {
				request.reply <- request.value + 1
			}
		}()
	}
	go func() {
		for next := 0; ; next++ {
			workers[next%servers] <- <-asked
		}
	}()
	var done sync.WaitGroup
	done.Add(clients)
	for range clients {
		go func() {
			reply := make(chan int, 1)
			for value := range requests / clients {
				asked <- request{value, reply}
				if <-reply != value+1 {
					panic("another reply came back")
				}
			}
			done.Done()
		}()
	}
	done.Wait()
	return nsPerOp(requests, began)
}
