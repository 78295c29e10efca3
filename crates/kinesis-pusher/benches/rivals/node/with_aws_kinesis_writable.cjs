// aws-kinesis-writable, a stream of objects that are stored as JSON. It knows neither back-pressure nor receipts:
// those are taken from the callback of its own requests.

const AWS = require('aws-sdk');
const http = require('node:http');
const KinesisWritable = require('aws-kinesis-writable');
const {
    ENDPOINT, REGION, STREAM, REQUEST_RECORDS, REQUESTS_IN_FLIGHT, parse, linesOf, key, Paced,
} = require('./contestant.cjs');

async function main() {
    const { file, rate } = parse();
    const lines = rate ? [...linesOf(file)] : [];
    const paced = rate ? new Paced(lines.length, rate) : null;
    let next = 0;
    const stream = new KinesisWritable({
        streamName: STREAM,
        objectMode: true,
        partitionKey: () => key(next++),
        kinesis: new AWS.Kinesis({
            region: REGION,
            endpoint: ENDPOINT,
            credentials: new AWS.EnvironmentCredentials('AWS'),
            httpOptions: { agent: new http.Agent({ keepAlive: true, maxSockets: REQUESTS_IN_FLIGHT }) },
        }),
        // Seconds.
        buffer: { length: REQUEST_RECORDS, timeout: paced ? 0.001 : 5 },
    });
    stream.on('error', (error) => {
        throw error;
    });
    let [written, acknowledged, ended] = [0, 0, false];
    let done;
    const finished = new Promise((resolve) => {
        done = resolve;
    });
    const { dispatch } = stream;
    stream.dispatch = (records, callback) => dispatch.call(stream, records, (error) => {
        records.forEach(({ number }) => paced?.acknowledged(number));
        acknowledged += records.length;
        if (ended && acknowledged === written) {
            done();
        }
        callback?.(error);
    });
    const write = (line) => stream.write({ line, number: written++ });
    if (paced) {
        for await (const [first, end] of paced.batches()) {
            lines.slice(first, end).forEach(write);
        }
    } else {
        for (const line of linesOf(file)) {
            write(line);
        }
    }
    ended = true;
    // Else the last ones would wait for the timer.
    stream.flush();
    if (acknowledged < written) {
        await finished;
    }
    await paced?.report();
    process.exit(0);
}

main();
