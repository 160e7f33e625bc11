// SPDX-License-Identifier: Apache-2.0
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.Readable;
import org.apache.kafka.common.record.internal.BaseRecords;
import org.apache.kafka.common.record.internal.MemoryRecords;

import java.nio.ByteBuffer;
import java.util.Base64;
import java.util.HexFormat;

/**
 * Apache Kafka's own codec, in place of ours: WireCodec encode|decode API VERSION request|response,
 * bodies alone, hexadecimal bytes and JSON. Kafka's JSON has no records: they are given and shown as
 * base64 text in their place.
 */
public class WireCodec {
    private static final ObjectMapper MAPPER = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        ApiKeys api = null;
        for (ApiKeys each : ApiKeys.values())
            if (each.name.equals(arguments[1]))
                api = each;
        short version = Short.parseShort(arguments[2]);
        ApiMessageType type = ApiMessageType.fromApiKey(api.id);
        ApiMessage message = arguments[3].equals("request") ? type.newRequest() : type.newResponse();
        String input = new String(System.in.readAllBytes(), "UTF-8").trim();
        Class<?> converter = Class.forName(message.getClass().getName() + "JsonConverter");
        if (arguments[0].equals("encode")) {
            JsonNode json = MAPPER.readTree(input);
            Message read = (Message) converter.getMethod("read", JsonNode.class, short.class)
                .invoke(null, json, version);
            setRecords(json, read);
            System.out.println(HexFormat.of().formatHex(bytes(MessageUtil.toByteBufferAccessor(read, version)
                .buffer())));
        } else {
            Readable from = new ByteBufferAccessor(ByteBuffer.wrap(HexFormat.of().parseHex(input)));
            message.read(from, version);
            if (from.remaining() > 0)
                throw new IllegalArgumentException(from.remaining() + " bytes left over");
            JsonNode json = (JsonNode) converter.getMethod("write", message.getClass(), short.class)
                .invoke(null, message, version);
            showRecords(json, message);
            System.out.println(json);
        }
    }

    private static byte[] bytes(ByteBuffer buffer) {
        byte[] copy = new byte[buffer.remaining()];
        buffer.duplicate().get(copy);
        return copy;
    }

    private static void setRecords(JsonNode json, Object value) throws Exception {
        if (value instanceof Iterable<?> items && json.isArray()) {
            int at = 0;
            for (Object item : items)
                setRecords(json.get(at++), item);
        } else if (value instanceof Message && json.isObject()) {
            for (String name : (Iterable<String>) json::fieldNames) {
                if (name.equals("records") && json.get(name).isTextual())
                    value.getClass().getMethod("setRecords", BaseRecords.class).invoke(value,
                        MemoryRecords.readableRecords(ByteBuffer.wrap(
                            Base64.getDecoder().decode(json.get(name).asText()))));
                else if (json.get(name).isContainerNode())
                    setRecords(json.get(name), value.getClass().getMethod(name).invoke(value));
            }
        }
    }

    private static void showRecords(JsonNode json, Object value) throws Exception {
        if (value instanceof Iterable<?> items && json.isArray()) {
            int at = 0;
            for (Object item : items)
                showRecords(json.get(at++), item);
        } else if (value instanceof Message && json instanceof ObjectNode node) {
            for (String name : (Iterable<String>) json::fieldNames) {
                Object inner = value.getClass().getMethod(name).invoke(value);
                if (inner instanceof MemoryRecords records)
                    node.put(name, Base64.getEncoder().encodeToString(bytes(records.buffer())));
                else
                    showRecords(json.get(name), inner);
            }
        }
    }
}
