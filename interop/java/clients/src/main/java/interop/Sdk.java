package interop;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException;
import software.amazon.awssdk.services.kinesis.model.ScalingType;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.StreamStatus;

/**
 * The AWS SDK 2 for Java on a server: {@code Sdk ENDPOINT STREAM RECORDS}. Writes a third of the records before a split,
 * a third before the number of shards is doubled, and a third after it, reads all shards to their ends, and prints a
 * summary.
 */
public final class Sdk {
    private static volatile String contentType = "";

    public static void main(String[] arguments) throws Exception {
        String stream = arguments[1];
        int count = Integer.parseInt(arguments[2]);
        KinesisClient kinesis = KinesisClient.builder()
                .endpointOverride(URI.create(arguments[0]))
                .overrideConfiguration(builder -> builder.addExecutionInterceptor(new ExecutionInterceptor() {
                    @Override
                    public void beforeTransmission(Context.BeforeTransmission context, ExecutionAttributes attributes) {
                        contentType = context.httpRequest().firstMatchingHeader("Content-Type").orElse("none");
                    }
                }))
                .build();
        boolean missing = false;
        try {
            kinesis.describeStreamSummary(request -> request.streamName(stream + "-none"));
        } catch (ResourceNotFoundException expected) {
            missing = true;
        }
        kinesis.createStream(request -> request.streamName(stream).shardCount(2));
        waitActive(kinesis, stream);
        put(kinesis, stream, 0, count / 3);
        Shard first = open(kinesis, stream).get(0);
        kinesis.splitShard(request -> request.streamName(stream).shardToSplit(first.shardId()).newStartingHashKey("12345"));
        waitActive(kinesis, stream);
        put(kinesis, stream, count / 3, 2 * count / 3);
        kinesis.updateShardCount(request ->
                request.streamName(stream).targetShardCount(6).scalingType(ScalingType.UNIFORM_SCALING));
        waitActive(kinesis, stream);
        put(kinesis, stream, 2 * count / 3, count);

        Set<String> read = new HashSet<>();
        int again = 0, children = 0;
        for (Shard shard : shards(kinesis, stream)) {
            boolean closed = shard.sequenceNumberRange().endingSequenceNumber() != null;
            String iterator = kinesis.getShardIterator(request -> request.streamName(stream)
                            .shardId(shard.shardId())
                            .shardIteratorType(ShardIteratorType.TRIM_HORIZON))
                    .shardIterator();
            for (int empty = 0; iterator != null && (closed || empty < 3); ) {
                String from = iterator;
                var page = kinesis.getRecords(request -> request.shardIterator(from).limit(1_000));
                for (var record : page.records()) {
                    again += read.add(record.data().asString(StandardCharsets.UTF_8)) ? 0 : 1;
                }
                empty = page.records().isEmpty() ? empty + 1 : 0;
                children += page.hasChildShards() ? page.childShards().size() : 0;
                iterator = page.nextShardIterator();
                if (empty > 50) {
                    throw new IllegalStateException(shard.shardId() + " is closed and has no end");
                }
            }
        }
        int expected = 0;
        for (int n = 0; n < count; n++) {
            expected += read.remove("record " + n) ? 1 : 0;
        }
        System.out.printf(
                "{\"count\":%d,\"missing_stream\":%b,\"unexpected\":%d,\"again\":%d,\"open\":%d,\"children\":%d,\"protocol\":\"%s\","
                        + "\"read\":%d}%n",
                count, missing, read.size(), again, open(kinesis, stream).size(), children, contentType, expected);
    }

    private static void put(KinesisClient kinesis, String stream, int from, int to) {
        for (int first = from; first < to; first += 100) {
            List<PutRecordsRequestEntry> entries = new ArrayList<>();
            for (int n = first; n < Math.min(first + 100, to); n++) {
                entries.add(PutRecordsRequestEntry.builder()
                        .partitionKey("key" + n)
                        .data(SdkBytes.fromUtf8String("record " + n))
                        .build());
            }
            var reply = kinesis.putRecords(request -> request.streamName(stream).records(entries));
            if (reply.failedRecordCount() != 0) {
                throw new IllegalStateException("failed: " + reply.records());
            }
        }
    }

    private static List<Shard> shards(KinesisClient kinesis, String stream) {
        return kinesis.listShards(request -> request.streamName(stream)).shards();
    }

    private static List<Shard> open(KinesisClient kinesis, String stream) {
        return shards(kinesis, stream).stream()
                .filter(shard -> shard.sequenceNumberRange().endingSequenceNumber() == null)
                .toList();
    }

    private static void waitActive(KinesisClient kinesis, String stream) throws InterruptedException {
        while (kinesis.describeStreamSummary(request -> request.streamName(stream))
                        .streamDescriptionSummary()
                        .streamStatus()
                != StreamStatus.ACTIVE) {
            Thread.sleep(50);
        }
    }
}
