// Node as a host: arguments are the library, bound (0 or 1), storm (0 or 1).
//
// The thread of JavaScript calls in, and is called in the middle of a callback; so are workers, which
// have threads of their own that end. Work for libuv's pool is done in callbacks there, and resolves
// promises.
"use strict";

const { Worker, isMainThread, parentPort, workerData } = require("node:worker_threads");
const { execFileSync } = require("node:child_process");

const library = isMainThread ? process.argv[2] : workerData;
const host = {};
process.dlopen({ exports: host }, library);

const WORKERS = 3;
const CALLS = 200;

function calls(first) {
    for (let value = first; value < first + CALLS; value++) {
        host.check(host.call(value) === value * 2 + 1, "a wrong answer");
        // JavaScript in the middle of a callback, which calls in once more, and may throw.
        const answer = host.callback((n) => host.call(n) + 1, value);
        host.check(answer === value * 2 + 2, "a wrong answer from inside");
        let thrown = null;
        try {
            host.callback(() => { throw new RangeError("from inside"); }, value);
        } catch (error) {
            thrown = error;
        }
        host.check(thrown instanceof RangeError, "an exception was lost");
    }
}

function child() {
    const child = execFileSync(process.execPath, ["-e", "console.log(6 * 7)"]).toString();
    return child === "42\n";
}

async function main() {
    // libuv handles SIGCHLD while it has children, and leaves the default with a flag of its own.
    child();
    if (host.begin(Number(process.argv[3]), Number(process.argv[4])) !== 0) {
        process.exit(9);
    }
    const workers = [];
    for (let n = 0; n < WORKERS; n++) {
        const worker = new Worker(__filename, { workerData: library });
        workers.push(new Promise((resolve, reject) => {
            worker.on("error", reject);
            worker.on("exit", resolve);
        }));
        worker.postMessage(1000 * n);
    }
    const answers = [];
    for (let value = 1; value <= CALLS; value++) {
        answers.push(host.callAsync(value));
    }
    calls(10000);
    const sum = (await Promise.all(answers)).reduce((a, b) => a + b, 0);
    host.check(sum === CALLS * (CALLS + 1) + CALLS, `the promises' sum is ${sum}`);
    for (const code of await Promise.all(workers)) {
        host.check(code === 0, `a worker ended with ${code}`);
    }
    // Node's own use: its timers, its children.
    await new Promise((resolve) => setTimeout(resolve, 5));
    host.check(child(), "a child did not say 42");
    const wanted = (WORKERS + 1) * CALLS * 4 + CALLS;
    host.check(host.callbacks() === wanted, `${host.callbacks()} callbacks, not ${wanted}`);
    process.exitCode = host.end();
}

if (isMainThread) {
    main();
} else {
    parentPort.once("message", calls);
}
