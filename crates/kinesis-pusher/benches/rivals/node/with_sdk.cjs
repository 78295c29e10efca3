// The loop that everybody writes first, over the AWS SDK for JavaScript: no limits, no retries of single records.

const { KinesisClient, PutRecordsCommand } = require('@aws-sdk/client-kinesis');
// It comes with the SDK. Without a handler of its own, the client speaks HTTP/2, which is not for a plain connection.
const { NodeHttpHandler } = require('@smithy/node-http-handler');
const {
    ENDPOINT, REGION, STREAM, REQUEST_RECORDS, REQUESTS_IN_FLIGHT, parse, linesOf, key, Paced,
} = require('./contestant.cjs');

async function main() {
    const { file, rate } = parse();
    const lines = rate ? [...linesOf(file)] : [];
    const paced = rate ? new Paced(lines.length, rate) : null;
    const client = new KinesisClient({
        region: REGION,
        endpoint: ENDPOINT,
        requestHandler: new NodeHttpHandler({ httpAgent: { keepAlive: true, maxSockets: REQUESTS_IN_FLIGHT } }),
    });

    async function put(first, batch) {
        const Records = batch.map((line, index) => ({ Data: Buffer.from(line), PartitionKey: key(first + index) }));
        const reply = await client.send(new PutRecordsCommand({ StreamName: STREAM, Records }));
        if (reply.FailedRecordCount) {
            throw new Error(`${reply.FailedRecordCount} records failed`);
        }
        batch.forEach((_, index) => paced?.acknowledged(first + index));
    }

    const requests = new Set();
    for await (const [first, batch] of paced ? due(lines, paced) : full(linesOf(file))) {
        if (requests.size === REQUESTS_IN_FLIGHT) {
            await Promise.race(requests);
        }
        const request = put(first, batch);
        requests.add(request);
        request.finally(() => requests.delete(request));
    }
    await Promise.all(requests);
    client.destroy();
    await paced?.report();
}

async function* due(lines, paced) {
    for await (const [begin, end] of paced.batches()) {
        for (let first = begin; first < end; first += REQUEST_RECORDS) {
            yield [first, lines.slice(first, Math.min(end, first + REQUEST_RECORDS))];
        }
    }
}

function* full(lines) {
    let first = 0;
    let batch = [];
    for (const line of lines) {
        batch.push(line);
        if (batch.length === REQUEST_RECORDS) {
            yield [first, batch];
            first += REQUEST_RECORDS;
            batch = [];
        }
    }
    if (batch.length > 0) {
        yield [first, batch];
    }
}

main();
