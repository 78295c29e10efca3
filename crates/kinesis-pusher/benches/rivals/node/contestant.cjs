// What the contestants in Node share: the arguments, the lines, their keys, a load of a fixed rate, and the answer.

const fs = require('node:fs');

const ENDPOINT = process.env.AWS_ENDPOINT_URL_KINESIS;
const REGION = process.env.AWS_REGION;
const STREAM = process.env.RIVALS_STREAM;
// As Kinesis takes them.
const REQUEST_RECORDS = 500;
// As many as the other contestants have.
const REQUESTS_IN_FLIGHT = 16;

// Whoever hangs is ended.
setTimeout(() => process.exit(1), Number(process.env.RIVALS_SECONDS_MAX) * 1000).unref();

/** `SCRIPT VARIANT FILE [RATE]`: all lines of the file as fast as it goes, or RATE of them a second. */
function parse() {
    const [, file, rate] = process.argv.slice(2);
    return { file, rate: rate ? Number(rate) : null };
}

/** One line after the other, all of ASCII: whoever measures memory does not want all of them in it. */
function* linesOf(file) {
    const input = fs.openSync(file);
    const chunk = Buffer.alloc(1 << 16);
    let rest = '';
    for (let count; (count = fs.readSync(input, chunk)) > 0; ) {
        const lines = (rest + chunk.latin1Slice(0, count)).split('\n');
        rest = lines.pop();
        yield* lines;
    }
    fs.closeSync(input);
}

/** As long as a UUID. */
const key = (number) => String(number).padStart(36, '0');

/** A load of so many records a second: who is late catches up, and latency counts from when a record was due. */
class Paced {
    constructor(count, rate) {
        Object.assign(this, { count, rate, latencies: [] });
    }

    /** `[first, end)` of the records that are due, as they fall due: a millisecond is as fine as the timers are. */
    async *batches() {
        this.started = performance.now();
        let sent = 0;
        while (sent < this.count) {
            const due = Math.min(this.count, Math.floor((performance.now() - this.started) * this.rate / 1000) + 1);
            if (due > sent) {
                yield [sent, due];
                sent = due;
            }
            const wait = this.started + sent * 1000 / this.rate - performance.now();
            await new Promise((resolve) => setTimeout(resolve, Math.max(0, wait)));
        }
    }

    acknowledged(number) {
        this.latencies.push(performance.now() - this.started - number * 1000 / this.rate);
    }

    /** Microseconds, one a line. Resolves when they are written: exiting before that would cut them. */
    report() {
        const text = this.latencies.map((latency) => `${Math.round(latency * 1000)}\n`).join('');
        return new Promise((resolve) => process.stdout.write(text, resolve));
    }
}

module.exports = { ENDPOINT, REGION, STREAM, REQUEST_RECORDS, REQUESTS_IN_FLIGHT, parse, linesOf, key, Paced };
