package interop;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.stream.Collectors;
import software.amazon.kinesis.retrieval.AggregatorUtil;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

/** The KCL's de-aggregator as a filter: {@code {"decode": "BASE64"}} a line, an answer a line. */
public final class KclCodec {
    public static void main(String[] arguments) throws Exception {
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            // Base64 has no quotes: the payload is what stands between the last two.
            int end = line.lastIndexOf('"');
            answers.println(decode(line.substring(line.lastIndexOf('"', end - 1) + 1, end)));
            answers.flush();
        }
    }

    private static String decode(String data) {
        KinesisClientRecord outer = KinesisClientRecord.builder()
                .partitionKey("outer")
                .sequenceNumber("1")
                .data(ByteBuffer.wrap(Base64.getDecoder().decode(data)))
                .build();
        List<KinesisClientRecord> records = new AggregatorUtil().deaggregate(List.of(outer));
        if (records.stream().anyMatch(record -> !record.aggregated())) {
            return "{\"plain\":\"not aggregated\"}";
        }
        return records.stream().map(KclCodec::member).collect(Collectors.joining(",", "{\"members\":[", "]}"));
    }

    private static String member(KinesisClientRecord record) {
        byte[] bytes = new byte[record.data().remaining()];
        record.data().duplicate().get(bytes);
        return "{\"partition_key\":" + quoted(record.partitionKey()) + ",\"explicit_hash_key\":"
                + (record.explicitHashKey() == null ? "null" : quoted(record.explicitHashKey())) + ",\"data\":\""
                + Base64.getEncoder().encodeToString(bytes) + "\"}";
    }

    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c < ' ' || c == '"' || c == '\\' || c > '~') {
                quoted.append(String.format("\\u%04x", (int) c));
            } else {
                quoted.append(c);
            }
        }
        return quoted.append('"').toString();
    }
}
