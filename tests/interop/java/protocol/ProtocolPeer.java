/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Apache Kafka's side of the codec test. Entries are lines "Name version hex json".
 *   ProtocolPeer write SEED COUNT [small]  fills every message in every version COUNT times at random,
 *                                          through its schema, and prints what Kafka makes of it
 *   ProtocolPeer recast SEED COUNT         fills each version in part and writes it as every other:
 *                                          "Name from hex to hex", "-" where Kafka refuses
 *   ProtocolPeer check                     reads entries, and tells where Kafka reads or writes
 *                                          something else
 * Kafka's JSON has an empty string for records; their bytes are put in its place.
 */
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.BinaryNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.Readable;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.BaseRecords;
import org.apache.kafka.common.record.internal.MemoryRecords;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.jar.JarFile;
import java.util.regex.Pattern;

public final class ProtocolPeer {
    private static final String SUFFIX = "JsonConverter.class";
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final Pattern DOUBLE = Pattern.compile("(?<=[:,\\[])-?\\d+\\.\\d+(E-?\\d+)?(?=[,\\]}])");
    private static boolean small;
    private static boolean partial;

    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(new java.io.BufferedOutputStream(System.out, 1 << 16), false,
            StandardCharsets.UTF_8);
        Map<String, Class<?>> types = messageTypes();
        boolean good = true;
        if (arguments[0].equals("write")) {
            small = arguments.length > 3 && arguments[3].equals("small");
            write(types, new Random(Long.parseLong(arguments[1])), Integer.parseInt(arguments[2]), out);
        } else if (arguments[0].equals("recast")) {
            partial = true;
            recast(types, new Random(Long.parseLong(arguments[1])), Integer.parseInt(arguments[2]), out);
        } else {
            good = check(types, out);
        }
        out.flush();
        System.exit(good ? 0 : 1);
    }

    /** Every top-level message class on the class path by Kafka's name of the message. */
    private static Map<String, Class<?>> messageTypes() throws Exception {
        Map<String, Class<?>> types = new TreeMap<>();
        for (String path : System.getProperty("java.class.path").split(":")) {
            if (!path.endsWith(".jar") || !path.contains("kafka"))
                continue;
            try (JarFile jar = new JarFile(path)) {
                for (String entry : jar.stream().map(e -> e.getName()).toList()) {
                    if (!entry.endsWith(SUFFIX) || entry.contains("$"))
                        continue;
                    String name = entry.substring(0, entry.length() - SUFFIX.length()).replace('/', '.');
                    Class<?> type;
                    try {
                        type = Class.forName(name);
                    } catch (ClassNotFoundException e) {
                        continue; /* converters of whole record families */
                    }
                    types.put(type.getSimpleName().replaceFirst("(Request|Response|Header)Data$", "$1"), type);
                }
            }
        }
        return types;
    }

    private static short constant(Class<?> type, String name) throws Exception {
        return type.getField(name).getShort(null);
    }

    private static void write(Map<String, Class<?>> types, Random random, int count, PrintStream out)
            throws Exception {
        for (Map.Entry<String, Class<?>> entry : types.entrySet()) {
            Class<?> type = entry.getValue();
            short last = constant(type, "HIGHEST_SUPPORTED_VERSION");
            for (short version = constant(type, "LOWEST_SUPPORTED_VERSION"); version <= last; version++)
                for (int i = 0; i < count; i++) {
                    Message message = (Message) type.getConstructor().newInstance();
                    fill(message, (Schema) type.getField("SCHEMA_" + version).get(null), random);
                    out.printf("%s %d %s %s%n", entry.getKey(), version, hex(message, version),
                        toJson(message, version));
                }
        }
    }

    /** What becomes of values for which the version written has no place. */
    private static void recast(Map<String, Class<?>> types, Random random, int count, PrintStream out)
            throws Exception {
        for (Map.Entry<String, Class<?>> entry : types.entrySet()) {
            Class<?> type = entry.getValue();
            short first = constant(type, "LOWEST_SUPPORTED_VERSION");
            short last = constant(type, "HIGHEST_SUPPORTED_VERSION");
            for (short from = first; from <= last; from++)
                for (int i = 0; i < count; i++) {
                    Message message = (Message) type.getConstructor().newInstance();
                    fill(message, (Schema) type.getField("SCHEMA_" + from).get(null), random);
                    String bytes = attempt(message, from);
                    for (short to = first; to <= last && !bytes.equals("-"); to++)
                        if (to != from)
                            out.printf("%s %d %s %d %s%n", entry.getKey(), from, bytes, to,
                                attempt(message, to));
                }
        }
    }

    private static String attempt(Message message, short version) {
        try {
            return hex(message, version);
        } catch (UnsupportedVersionException | NullPointerException e) {
            return "-";
        }
    }

    private static String hex(Message message, short version) {
        ByteBuffer bytes = MessageUtil.toByteBufferAccessor(message, version).buffer();
        byte[] copy = new byte[bytes.remaining()];
        bytes.get(copy);
        return HexFormat.of().formatHex(copy);
    }

    private static Class<?> converter(Class<?> type) throws Exception {
        return Class.forName(type.getName() + "JsonConverter");
    }

    private static JsonNode toJson(Message message, short version) throws Exception {
        Class<?> type = message.getClass();
        JsonNode json = (JsonNode) converter(type).getMethod("write", type, short.class)
            .invoke(null, message, version);
        putRecords(json, message);
        return json;
    }

    /** Writes the bytes of records where Kafka leaves an empty string. */
    private static void putRecords(JsonNode json, Object value) throws Exception {
        if (json instanceof ArrayNode array && value instanceof Collection<?> items) {
            int at = 0;
            for (Object item : items)
                putRecords(array.get(at++), item);
        } else if (json instanceof ObjectNode node && value instanceof Message) {
            for (String name : (Iterable<String>) node::fieldNames) {
                Object inner = value.getClass().getMethod(name).invoke(value);
                if (inner instanceof MemoryRecords records) {
                    ByteBuffer bytes = records.buffer();
                    byte[] copy = new byte[bytes.remaining()];
                    bytes.get(copy);
                    node.replace(name, BinaryNode.valueOf(copy));
                } else {
                    putRecords(node.get(name), inner);
                }
            }
        }
    }

    /* ---- random contents ---- */

    private static void fill(Object message, Schema schema, Random random) throws Exception {
        for (BoundField bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields tagged) {
                for (Field field : tagged.fields().values())
                    if (random.nextInt(3) > 0)
                        fillField(message, field, random);
            } else if (!partial || random.nextInt(4) == 0) {
                fillField(message, bound.def, random);
            }
        }
    }

    private static void fillField(Object message, Field field, Random random) throws Exception {
        String wanted = "set" + field.name.replace("_", "");
        for (Method method : message.getClass().getMethods())
            if (method.getName().equalsIgnoreCase(wanted)) {
                method.invoke(message, value(method, field.type, random));
                return;
            }
        throw new IllegalStateException(message.getClass() + " has no " + wanted);
    }

    private static Object value(Method setter, Type type, Random random) throws Exception {
        Class<?> kind = setter.getParameterTypes()[0];
        if (type.isNullable() && random.nextInt(4) == 0)
            return null;
        if (!type.isArray())
            return single(kind, type, random);
        Class<?> element;
        Collection<Object> items;
        if (kind == List.class) {
            element = (Class<?>) ((ParameterizedType) setter.getGenericParameterTypes()[0])
                .getActualTypeArguments()[0];
            items = new ArrayList<>();
        } else { /* a collection with keys */
            element = (Class<?>) ((ParameterizedType) kind.getGenericSuperclass())
                .getActualTypeArguments()[0];
            @SuppressWarnings("unchecked")
            Collection<Object> made = (Collection<Object>) kind.getConstructor().newInstance();
            items = made;
        }
        int count = small ? (random.nextInt(8) == 0 ? 0 : random.nextInt(6) == 0 ? 2 : 1) : random.nextInt(4);
        for (int i = 0; i < count; i++)
            items.add(single(element, type.arrayElementType().get(), random));
        return items;
    }

    private static long integer(Random random, int bits) {
        long low = bits == 64 ? Long.MIN_VALUE : -(1L << (bits - 1));
        return switch (random.nextInt(6)) {
            case 0 -> 0;
            case 1 -> -1;
            case 2 -> low;
            case 3 -> ~low;
            default -> random.nextLong() >> (64 - bits);
        };
    }

    private static Object single(Class<?> kind, Type type, Random random) throws Exception {
        if (kind == boolean.class || kind == Boolean.class)
            return random.nextBoolean();
        if (kind == byte.class || kind == Byte.class)
            return (byte) integer(random, 8);
        if (kind == short.class || kind == Short.class)
            return (short) integer(random, 16);
        if ((kind == int.class || kind == Integer.class) && type == Type.UINT16)
            return (int) integer(random, 16) & 0xffff;
        if (kind == int.class || kind == Integer.class)
            return (int) integer(random, 32);
        if ((kind == long.class || kind == Long.class) && type == Type.UNSIGNED_INT32)
            return integer(random, 32) & 0xffffffffL;
        if (kind == long.class || kind == Long.class)
            return integer(random, 64);
        if (kind == double.class)
            return random.nextInt() / 8.0;
        if (kind == Uuid.class)
            return random.nextInt(4) == 0 ? Uuid.ZERO_UUID : new Uuid(random.nextLong(), random.nextLong());
        if (kind == String.class)
            return text(random);
        if (kind == byte[].class)
            return bytes(random);
        if (kind == ByteBuffer.class)
            return ByteBuffer.wrap(bytes(random));
        if (kind == BaseRecords.class)
            return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes(random)));
        Object inner = kind.getConstructor().newInstance();
        fill(inner, (Schema) type, random);
        return inner;
    }

    private static byte[] bytes(Random random) {
        byte[] bytes = new byte[random.nextInt(small ? 6 : 40)];
        random.nextBytes(bytes);
        return bytes;
    }

    private static String text(Random random) {
        StringBuilder text = new StringBuilder();
        int length = random.nextInt(small ? 6 : 20);
        for (int i = 0; i < length; i++)
            text.appendCodePoint(switch (random.nextInt(small ? 40 : 10)) {
                case 0 -> random.nextInt(0x20);
                case 1 -> 0x80 + random.nextInt(0x700);
                case 2 -> 0x1f300 + random.nextInt(0x100);
                case 3 -> "\"\\/<>&'\u007f\u2028\ufffd".codePointAt(random.nextInt(10));
                default -> 'a' + random.nextInt(26);
            });
        return text.toString();
    }

    /* ---- checking ---- */

    private static boolean check(Map<String, Class<?>> types, PrintStream out) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        int entries = 0;
        int wrong = 0;
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ", 4);
            String problem;
            try {
                problem = checkEntry(types.get(words[0]), Short.parseShort(words[1]), words[2], words[3]);
            } catch (Exception e) {
                problem = (e.getCause() == null ? e : e.getCause()).toString();
            }
            entries++;
            if (problem != null && wrong++ < 20)
                out.printf("%s v%s: %s%n  %s%n  %s%n", words[0], words[1], problem, words[2], words[3]);
        }
        out.printf("%d entries, %d wrong%n", entries, wrong);
        return wrong == 0 && entries > 0;
    }

    /**
     * Java before 19 writes some doubles with a digit too many (JDK-4511638); ours are the shortest. This is the text with each of them as this
     * Java writes it.
     */
    private static String withDoublesOfThisJava(String json) {
        return DOUBLE.matcher(json).replaceAll(found ->
            Double.toString(Double.parseDouble(found.group())));
    }

    private static String checkEntry(Class<?> type, short version, String hex, String json)
            throws Exception {
        ByteBuffer bytes = ByteBuffer.wrap(HexFormat.of().parseHex(hex));
        Message message = (Message) type.getConstructor(Readable.class, short.class)
            .newInstance(new ByteBufferAccessor(bytes), version);
        if (bytes.hasRemaining())
            return bytes.remaining() + " bytes left over";
        if (!hex(message, version).equals(hex))
            return "Kafka writes " + hex(message, version);
        String expected = toJson(message, version).toString();
        if (!expected.equals(json) && !expected.equals(withDoublesOfThisJava(json)))
            return "Kafka's JSON is " + expected;
        Message again = (Message) converter(type).getMethod("read", JsonNode.class, short.class)
            .invoke(null, MAPPER.readTree(json), version);
        return hex(again, version).equals(hex) ? null : "Kafka reads the JSON as " + hex(again, version);
    }
}
