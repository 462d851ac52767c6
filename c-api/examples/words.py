"""Counts words in goroutines. Prints "the 3, others 8, then: no such file"."""

import threading

import gosched

TEXT = ["the quick brown fox", "jumps over the lazy dog", "the end"]


def count(lines, counts):
    for line in lines:
        for word in line.split():
            counts.send(word)


def open_nothing():
    raise OSError("no such file")


def add_up(counts):
    total = {"the": 0, "others": 0}
    for word in counts:
        total["the" if word == "the" else "others"] += 1
    return total


with gosched.Runtime() as runtime:
    lines, counts = gosched.Chan(), gosched.Chan(capacity=4)
    counters = [runtime.go(count, lines, counts) for _ in range(3)]
    sums = []

    # A thread of Python's comes in, and waits as a goroutine.
    adder = threading.Thread(target=lambda: sums.append(runtime.enter(add_up, counts)))
    adder.start()
    for line in TEXT:
        lines.send(line)
    lines.close()
    for counter in counters:
        counter.join()
    counts.close()
    adder.join()

    # What ends a goroutine comes to whoever joins it.
    try:
        runtime.go(open_nothing).join()
    except OSError as error:
        print(f"the {sums[0]['the']}, others {sums[0]['others']}, then: {error}")

    # A goroutine that waits for ever is cancelled.
    waits = runtime.go(gosched.Chan().recv)
    waits.cancel()
    try:
        waits.join()
    except gosched.Cancelled:
        pass
    try:
        lines.recv(timeout=0.001)
    except gosched.Closed:
        pass
assert not gosched._kept, gosched._kept
