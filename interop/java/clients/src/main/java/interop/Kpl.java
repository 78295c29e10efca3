package interop;

import com.google.common.util.concurrent.FutureCallback;
import com.google.common.util.concurrent.Futures;
import com.google.common.util.concurrent.MoreExecutors;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordResult;

/**
 * Sends each line of standard input with the KPL and prints its result as a line of JSON, as `receipts` does.
 *
 * {@code Kpl STREAM TLS_PORT DIRECTORY [--aggregate]}: a line is {@code NUMBER KEY …}, and KEY the partition key.
 * The KPL unpacks its native half into DIRECTORY. It speaks TLS alone; the certificate is not looked at.
 */
public final class Kpl {
    private static final int OUTSTANDING_MAX = 2_000;

    public static void main(String[] arguments) throws Exception {
        boolean aggregate = arguments.length > 3 && arguments[3].equals("--aggregate");
        KinesisProducer producer = new KinesisProducer(new KinesisProducerConfiguration()
                .setCredentialsProvider(
                        StaticCredentialsProvider.create(AwsBasicCredentials.create("interop", "interop")))
                .setRegion("us-east-1")
                .setKinesisEndpoint("127.0.0.1")
                .setKinesisPort(Long.parseLong(arguments[1]))
                .setVerifyCertificate(false)
                .setTempDirectory(arguments[2])
                .setAggregationEnabled(aggregate)
                .setRecordMaxBufferedTime(100)
                .setRecordTtl(60_000)
                .setRequestTimeout(5_000)
                .setThreadPoolSize(2)
                .setThreadingModel(KinesisProducerConfiguration.ThreadingModel.POOLED)
                // These two cost as much as half of the sending.
                .setMetricsLevel("none")
                .setEnableOldestFutureTracker(false)
                .setLogLevel("warning"));
        Semaphore room = new Semaphore(OUTSTANDING_MAX);
        AtomicInteger failed = new AtomicInteger();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ", 3);
            room.acquire();
            var future = producer.addUserRecord(
                    arguments[0], words[1], ByteBuffer.wrap(line.getBytes(StandardCharsets.UTF_8)));
            Futures.addCallback(
                    future,
                    new FutureCallback<UserRecordResult>() {
                        @Override
                        public void onSuccess(UserRecordResult result) {
                            // It does not say where in an aggregate a record is, nor which attempts may have stored it.
                            System.out.printf(
                                    "{\"number\":%s,\"shard\":\"%s\",\"sequence_number\":\"%s\",\"sub_sequence_number\":null,"
                                            + "\"attempts\":%d,\"possible_duplicate\":%b}%n",
                                    words[0],
                                    result.getShardId(),
                                    result.getSequenceNumber(),
                                    result.getAttempts().size(),
                                    result.getAttempts().size() > 1);
                            room.release();
                        }

                        @Override
                        public void onFailure(Throwable error) {
                            System.err.println(words[0] + ": " + error);
                            failed.incrementAndGet();
                            room.release();
                        }
                    },
                    MoreExecutors.directExecutor());
        }
        producer.flushSync();
        room.acquire(OUTSTANDING_MAX);
        producer.destroy();
        System.out.flush();
        System.exit(failed.get() == 0 ? 0 : 1);
    }
}
