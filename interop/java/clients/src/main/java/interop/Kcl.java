package interop;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.async.SdkAsyncHttpClient;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.http.nio.netty.SdkEventLoopGroup;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.exceptions.KinesisClientLibException;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * KCL applications, any number in one process: each line of standard input starts or stops one.
 *
 * <pre>
 * start APPLICATION STREAM KINESIS_ENDPOINT FILE
 * stop APPLICATION
 * </pre>
 *
 * The only argument is the endpoint of DynamoDB, which holds the leases. What a processor sees goes into FILE, a line
 * an event, fields separated by tabs: {@code init SHARD}, {@code record SHARD SEQUENCE SUBSEQUENCE KEY NUMBER CRC},
 * {@code caught-up SHARD}, {@code end SHARD}, {@code lost SHARD}. NUMBER is the payload's first word. The process ends
 * with its standard input.
 */
public final class Kcl {
    private static final StaticCredentialsProvider CREDENTIALS =
            StaticCredentialsProvider.create(AwsBasicCredentials.create("interop", "interop"));
    private static final long CHECKPOINT_INTERVAL_NANOS = TimeUnit.SECONDS.toNanos(1);

    private final SdkAsyncHttpClient http = NettyNioAsyncHttpClient.builder()
            .protocol(Protocol.HTTP1_1)
            .maxConcurrency(200)
            .eventLoopGroupBuilder(SdkEventLoopGroup.builder().numberOfThreads(2))
            .build();
    private final DynamoDbAsyncClient dynamoDb;
    private final CloudWatchAsyncClient cloudWatch;
    private final Map<String, Scheduler> schedulers = new LinkedHashMap<>();

    private Kcl(URI dynamoDbEndpoint) {
        dynamoDb = DynamoDbAsyncClient.builder()
                .httpClient(http)
                .credentialsProvider(CREDENTIALS)
                .region(Region.US_EAST_1)
                .endpointOverride(dynamoDbEndpoint)
                .build();
        // Demanded by the configuration and never called: the metrics go nowhere.
        cloudWatch = CloudWatchAsyncClient.builder()
                .httpClient(http)
                .credentialsProvider(CREDENTIALS)
                .region(Region.US_EAST_1)
                .endpointOverride(dynamoDbEndpoint)
                .build();
    }

    /** Runs applications until standard input ends. */
    public static void main(String[] arguments) throws Exception {
        Kcl kcl = new Kcl(URI.create(arguments[0]));
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "start" -> kcl.start(words[1], words[2], URI.create(words[3]), Path.of(words[4]));
                case "stop" -> kcl.stop(words[1]);
                default -> throw new IllegalArgumentException("no such command: " + line);
            }
        }
        // Leases and threads of what still runs are of no use to anything.
        Runtime.getRuntime().halt(0);
    }

    private void start(String application, String stream, URI endpoint, Path file) throws IOException {
        KinesisAsyncClient kinesis = KinesisAsyncClient.builder()
                .httpClient(http)
                .credentialsProvider(CREDENTIALS)
                .region(Region.US_EAST_1)
                .endpointOverride(endpoint)
                .build();
        Events events = new Events(file);
        InitialPositionInStreamExtended oldest =
                InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);
        ConfigsBuilder configs = new ConfigsBuilder(
                new SingleStreamTracker(stream, oldest),
                application,
                kinesis,
                dynamoDb,
                cloudWatch,
                "worker",
                () -> new Processor(events));
        var leases = configs.leaseManagementConfig()
                .shardSyncIntervalMillis(1_000)
                .leasesRecoveryAuditorExecutionFrequencyMillis(1_000)
                .leasesRecoveryAuditorInconsistencyConfidenceThreshold(2)
                .leaseAssignmentIntervalMillis(1_000L)
                // By default it knows a new shard's range after 1,000 batches or 30 s, and drops no aggregate before.
                // This one is as strict as possible.
                .maxCacheMissesBeforeReload(1)
                .listShardsCacheAllowedAgeInSeconds(1)
                .failoverTimeMillis(10_000)
                .metricsFactory(new NullMetricsFactory());
        leases.workerUtilizationAwareAssignmentConfig().disableWorkerMetrics(true);
        Scheduler scheduler = new Scheduler(
                configs.checkpointConfig(),
                configs.coordinatorConfig().parentShardPollIntervalMillis(500).shardConsumerDispatchPollIntervalMillis(200),
                leases,
                configs.lifecycleConfig().taskBackoffTimeMillis(200),
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
                configs.processorConfig().callProcessRecordsEvenForEmptyRecordList(true),
                configs.retrievalConfig().retrievalSpecificConfig(new PollingConfig(stream, kinesis)
                        .maxRecords(1_000)
                        .idleTimeBetweenReadsInMillis(250)
                        .usePollingConfigIdleTimeValue(true)));
        schedulers.put(application, scheduler);
        Thread thread = new Thread(scheduler, application);
        thread.setDaemon(true);
        thread.start();
    }

    private void stop(String application) {
        schedulers.remove(application).shutdown();
    }

    /** A file of events. One line is written by one thread at a time, and a batch is on disk when its call returns. */
    private static final class Events {
        private final PrintWriter out;

        Events(Path file) throws IOException {
            out = new PrintWriter(Files.newBufferedWriter(file, StandardCharsets.UTF_8));
        }

        synchronized void write(List<String> lines) {
            lines.forEach(line -> out.append(line).append('\n'));
            out.flush();
        }
    }

    private static final class Processor implements ShardRecordProcessor {
        private final Events events;
        private String shard;
        private long checkpointed = System.nanoTime();

        Processor(Events events) {
            this.events = events;
        }

        @Override
        public void initialize(InitializationInput input) {
            shard = input.shardId();
            events.write(List.of("init\t" + shard));
        }

        @Override
        public void processRecords(ProcessRecordsInput input) {
            List<String> lines = new ArrayList<>();
            for (KinesisClientRecord record : input.records()) {
                byte[] data = bytes(record.data());
                String number = new String(data, StandardCharsets.ISO_8859_1).split(" ", 2)[0];
                CRC32 crc = new CRC32();
                crc.update(data);
                lines.add(String.join(
                        "\t",
                        "record",
                        shard,
                        record.sequenceNumber(),
                        record.aggregated() ? Long.toString(record.subSequenceNumber()) : "-",
                        record.partitionKey(),
                        number.length() <= 20 ? number : "?",
                        Long.toString(crc.getValue())));
            }
            if (lines.isEmpty()) {
                lines.add("caught-up\t" + shard);
            }
            events.write(lines);
            if (System.nanoTime() - checkpointed > CHECKPOINT_INTERVAL_NANOS) {
                checkpointed = System.nanoTime();
                try {
                    input.checkpointer().checkpoint();
                } catch (KinesisClientLibException e) {
                    System.err.println("checkpoint of " + shard + ": " + e);
                }
            }
        }

        @Override
        public void leaseLost(LeaseLostInput input) {
            events.write(List.of("lost\t" + shard));
        }

        @Override
        public void shardEnded(ShardEndedInput input) {
            events.write(List.of("end\t" + shard));
            try {
                input.checkpointer().checkpoint();
            } catch (KinesisClientLibException e) {
                System.err.println("last checkpoint of " + shard + ": " + e);
            }
        }

        @Override
        public void shutdownRequested(ShutdownRequestedInput input) {}

        private static byte[] bytes(ByteBuffer buffer) {
            byte[] bytes = new byte[buffer.remaining()];
            buffer.duplicate().get(bytes);
            return bytes;
        }
    }
}
