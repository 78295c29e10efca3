// The AWS SDK 3 for JavaScript on a server: `sdk.js ENDPOINT STREAM RECORDS [http1]`. Writes a third of the records before
// a split, a third before the number of shards is doubled, and a third after it, reads all shards to their ends, and
// prints a summary.
// To Kinesis it speaks HTTP/2, with prior knowledge where there is no TLS, unless told otherwise.
'use strict';

const from = { paths: [process.cwd()] };
const { Kinesis, ResourceNotFoundException } = require(require.resolve('@aws-sdk/client-kinesis', from));
const { NodeHttpHandler } = require(require.resolve('@smithy/node-http-handler', from));

const [endpoint, StreamName, countText, transport] = process.argv.slice(2);
const count = Number(countText);
const kinesis = new Kinesis({
  endpoint,
  region: 'us-east-1',
  credentials: { accessKeyId: 'interop', secretAccessKey: 'interop' },
  ...(transport === 'http1' ? { requestHandler: new NodeHttpHandler() } : {}),
});
let contentType;
kinesis.middlewareStack.add(
  (next) => (call) => {
    contentType = call.request.headers['content-type'];
    return next(call);
  },
  { step: 'build', priority: 'low' },
);

async function put(start, end) {
  for (let first = start; first < end; first += 100) {
    const Records = [];
    for (let n = first; n < Math.min(first + 100, end); n++) {
      Records.push({ PartitionKey: `key${n}`, Data: Buffer.from(`record ${n}`) });
    }
    const reply = await kinesis.putRecords({ StreamName, Records });
    if (reply.FailedRecordCount) throw new Error(`${reply.FailedRecordCount} records failed`);
  }
}

async function shards() {
  return (await kinesis.listShards({ StreamName })).Shards;
}

async function open() {
  return (await shards()).filter((shard) => shard.SequenceNumberRange.EndingSequenceNumber === undefined);
}

async function waitActive() {
  for (;;) {
    const { StreamDescriptionSummary: summary } = await kinesis.describeStreamSummary({ StreamName });
    if (summary.StreamStatus === 'ACTIVE') return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function main() {
  const missing = await kinesis.describeStreamSummary({ StreamName: `${StreamName}-none` }).then(
    () => false,
    (error) => error instanceof ResourceNotFoundException || Promise.reject(error),
  );
  await kinesis.createStream({ StreamName, ShardCount: 2 });
  await waitActive();
  const third = Math.floor(count / 3);
  await put(0, third);
  await kinesis.splitShard({ StreamName, ShardToSplit: (await open())[0].ShardId, NewStartingHashKey: '12345' });
  await waitActive();
  await put(third, 2 * third);
  await kinesis.updateShardCount({ StreamName, TargetShardCount: 6, ScalingType: 'UNIFORM_SCALING' });
  await waitActive();
  await put(2 * third, count);

  const read = new Set();
  let [again, children] = [0, 0];
  for (const shard of await shards()) {
    const closed = shard.SequenceNumberRange.EndingSequenceNumber !== undefined;
    let { ShardIterator } = await kinesis.getShardIterator({
      StreamName,
      ShardId: shard.ShardId,
      ShardIteratorType: 'TRIM_HORIZON',
    });
    for (let empty = 0; ShardIterator && (closed || empty < 3); ) {
      const page = await kinesis.getRecords({ ShardIterator, Limit: 1000 });
      for (const record of page.Records) {
        const text = Buffer.from(record.Data).toString();
        again += read.has(text) ? 1 : 0;
        read.add(text);
      }
      empty = page.Records.length ? 0 : empty + 1;
      children += page.ChildShards?.length ?? 0;
      ShardIterator = page.NextShardIterator;
      if (empty > 50) throw new Error(`${shard.ShardId} is closed and has no end`);
    }
  }
  let expected = 0;
  for (let n = 0; n < count; n++) expected += read.has(`record ${n}`) ? 1 : 0;
  const opened = (await open()).length;
  console.log(
    JSON.stringify({
      count,
      missing_stream: missing,
      unexpected: read.size - expected,
      again,
      open: opened,
      children,
      protocol: contentType,
      read: expected,
    }),
  );
  kinesis.destroy();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
