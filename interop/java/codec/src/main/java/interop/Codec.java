package interop;

import com.amazonaws.kinesis.agg.AggRecord;
import com.amazonaws.services.kinesis.clientlibrary.types.UserRecord;
import com.amazonaws.services.kinesis.model.Record;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;

/**
 * awslabs' packages for Java, com.amazonaws:amazon-kinesis-aggregator and -deaggregator, behind the protocol of the
 * other codecs: a JSON request a line, an answer a line.
 *
 * The de-aggregator is {@link UserRecord#deaggregate} of the KCL 1.8 behind a type of Lambda's.
 */
public final class Codec {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            JsonNode request = JSON.readTree(line);
            ObjectNode answer =
                    request.has("encode") ? encode(request.get("encode")) : decode(request.get("decode").asText());
            answers.println(JSON.writeValueAsString(answer));
            answers.flush();
        }
    }

    private static ObjectNode encode(JsonNode members) {
        AggRecord aggregate = new AggRecord();
        for (JsonNode member : members) {
            JsonNode hashKey = member.get("explicit_hash_key");
            byte[] data = Base64.getDecoder().decode(member.get("data").asText());
            boolean fits;
            try {
                fits = aggregate.addUserRecord(
                        member.get("partition_key").asText(), hashKey.isNull() ? null : hashKey.asText(), data);
            } catch (IllegalArgumentException error) {
                return JSON.createObjectNode().put("refused", error.getMessage());
            }
            if (!fits) {
                return JSON.createObjectNode().put("refused", "too large");
            }
        }
        return JSON.createObjectNode().put("data", Base64.getEncoder().encodeToString(aggregate.toRecordBytes()));
    }

    private static ObjectNode decode(String data) {
        Record outer = new Record()
                .withPartitionKey("outer")
                .withSequenceNumber("1")
                .withData(ByteBuffer.wrap(Base64.getDecoder().decode(data)));
        ObjectNode answer = JSON.createObjectNode();
        List<UserRecord> records = UserRecord.deaggregate(List.of(outer));
        if (records.stream().anyMatch(record -> !record.isAggregated())) {
            return answer.put("plain", "not aggregated");
        }
        ArrayNode members = answer.putArray("members");
        for (UserRecord record : records) {
            byte[] bytes = new byte[record.getData().remaining()];
            record.getData().get(bytes);
            members.addObject()
                    .put("partition_key", record.getPartitionKey())
                    .put("explicit_hash_key", record.getExplicitHashKey())
                    .put("data", Base64.getEncoder().encodeToString(bytes));
        }
        return answer;
    }
}
