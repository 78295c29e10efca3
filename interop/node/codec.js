// AWS's package for Node behind the protocol of examples/interop: a JSON request a line, an answer a line.
'use strict';

const { createInterface } = require('node:readline');
// Resolved from where `interop/run` installed it.
const agg = require(require.resolve('aws-kinesis-agg', { paths: [process.cwd()] }));
const { AggregatedRecord } = require(require.resolve('aws-kinesis-agg/lib/common', { paths: [process.cwd()] }));

function encode(members) {
  const aggregator = new agg.RecordAggregator();
  for (const member of members) {
    const record = { partitionKey: member.partition_key, data: Buffer.from(member.data, 'base64') };
    if (member.explicit_hash_key !== null) record.explicitHashKey = member.explicit_hash_key;
    // It overestimates records of the first key and would refuse the last of an aggregate of just 1 MiB.
    aggregator.totalBytes = 0;
    aggregator.addUserRecord(record);
  }
  return { data: aggregator.build().data.toString('base64') };
}

function decode(data) {
  let answer;
  agg.deaggregateSync({ partitionKey: 'outer', sequenceNumber: '1', data }, true, (error, records) => {
    if (error) {
      answer ??= { plain: String(error) };
      return;
    }
    if (records.some((record) => record.subSequenceNumber === undefined)) {
      answer ??= { plain: 'no magic' };
      return;
    }
    // The package hands out no tags, but its message type has them.
    const message = Buffer.from(data, 'base64').subarray(4, -16);
    const raw = AggregatedRecord.decode(message).records;
    answer ??= {
      members: records.map((record, index) => ({
        partition_key: record.partitionKey,
        explicit_hash_key: record.explicitPartitionKey ?? null,
        data: record.data,
        tags: raw[index].tags.map((tag) => [tag.key, Object.hasOwn(tag, 'value') ? tag.value : null]),
      })),
    };
  });
  return answer;
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line);
  const answer = 'encode' in request ? encode(request.encode) : decode(request.decode);
  process.stdout.write(JSON.stringify(answer) + '\n');
});
