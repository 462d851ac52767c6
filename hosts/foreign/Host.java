import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The Java virtual machine as a host. It handles SIGSEGV itself, and lives by it: reads of null, the
 * ends of stacks, and the stops at safepoints are faults. All of these come here inside callbacks,
 * between them, and in a tower of callbacks in callbacks.
 */
public final class Host {
    static native int begin(int bound, int storm);

    /** A callback: twice the value, and one. */
    static native long call(long value);

    /** A callback that calls {@link #inCallback} in the middle, and returns what that returns. */
    static native long callback(long value);

    /** The same on a thread of its own, attached to the virtual machine. */
    static native long onThread(long value);

    static native void check(boolean right, String what);

    static native int end();

    static final int THREADS = 4;
    static final int ROUNDS = 60;

    static final AtomicLong nulls = new AtomicLong();
    static final AtomicLong overflows = new AtomicLong();
    static final AtomicLong deepest = new AtomicLong();
    static volatile int[] nothing;
    static volatile Object garbage;

    /** Called by {@link #callback}, in the middle. Negative: the tower grows by a callback. */
    static long inCallback(long value) {
        if (value < 0) {
            deepest.accumulateAndGet(-value, Math::max);
            return callback(value - 1);
        }
        trouble();
        garbage = new byte[10_000];
        return call(value);
    }

    static long deep(long n) {
        return n + deep(n + 1);
    }

    /** A read of null, and a stack that is too small. */
    static void trouble() {
        try {
            deepest.addAndGet(nothing.length);
        } catch (NullPointerException expected) {
            nulls.incrementAndGet();
        }
        try {
            deepest.addAndGet(deep(0));
        } catch (StackOverflowError expected) {
            overflows.incrementAndGet();
        }
    }

    static void one(long first) {
        for (long value = first; value < first + ROUNDS; value++) {
            for (int n = 0; n < 5; n++) {
                check(call(value) == value * 2 + 1, "a wrong answer");
            }
            trouble();
            check(callback(value) == value * 2 + 1, "a wrong answer from inside");
            if (value % 10 == 0) {
                check(onThread(value) == value * 2 + 1, "a wrong answer from a thread");
            }
            if (value % 20 == 0) {
                try {
                    callback(-1);
                    check(false, "a tower has no end");
                } catch (StackOverflowError expected) {
                    overflows.incrementAndGet();
                }
            }
        }
    }

    static void work() throws InterruptedException {
        long nullsBefore = nulls.get();
        long overflowsBefore = overflows.get();
        List<Thread> threads = new ArrayList<>();
        for (int n = 0; n < THREADS; n++) {
            long first = n * 1000L;
            Thread thread = new Thread(null, () -> one(first), "caller " + n, 512 << 10);
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) {
            while (thread.isAlive()) {
                System.gc();
                thread.join(5);
            }
        }
        long times = THREADS * ROUNDS * 2 + THREADS * ROUNDS / 10;
        long towers = THREADS * ROUNDS / 20;
        long nullsNow = nulls.get() - nullsBefore;
        long overflowsNow = overflows.get() - overflowsBefore;
        check(nullsNow == times, nullsNow + " reads of null, not " + times);
        check(overflowsNow == times + towers, overflowsNow + " overflows");
        check(deepest.get() > 5, "a tower of " + deepest.get());
    }

    /** The virtual machine was first. */
    public static void main(String[] arguments) throws InterruptedException {
        System.load(arguments[0]);
        if (begin(Integer.parseInt(arguments[1]), Integer.parseInt(arguments[2])) != 0) {
            System.exit(9);
        }
        work();
        System.exit(end());
    }
}
