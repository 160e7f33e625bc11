/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Apache Kafka's side of the record tests.
 *   RecordsPeer answer            one answer line per question line of stdin (below)
 *   RecordsPeer write SEED COUNT  "dump HEX" questions about random batches that Kafka built
 *   RecordsPeer capture           "name hex" lines: what tests/golden/records keeps
 *
 * Questions, the same that tests/unit/records/records_peer.c answers:
 *   dump HEX
 *   validate TARGET COMPACTED APPENDTIME BEFORE AFTER RECORDMAX NOW HEX
 *   reset | verify PID EPOCH SEQUENCE BUMPS | producers
 *   append ORIGIN TRANSACTIONVERSION HEX
 */
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.AbortedTxn;
import org.apache.kafka.common.message.KRaftVersionRecord;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.message.SnapshotFooterRecord;
import org.apache.kafka.common.message.SnapshotHeaderRecord;
import org.apache.kafka.common.message.VotersRecord;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.internals.BufferSupplier;
import org.apache.kafka.common.utils.internals.PrimitiveRef;
import org.apache.kafka.storage.internals.log.AppendOrigin;
import org.apache.kafka.storage.internals.log.BatchMetadata;
import org.apache.kafka.storage.internals.log.CompletedTxn;
import org.apache.kafka.storage.internals.log.LogValidator;
import org.apache.kafka.storage.internals.log.ProducerAppendInfo;
import org.apache.kafka.storage.internals.log.ProducerStateEntry;
import org.apache.kafka.storage.internals.log.ProducerStateManager;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.RecordValidationException;
import org.apache.kafka.storage.internals.log.TransactionIndex;
import org.apache.kafka.storage.internals.log.UnifiedLog;

import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Collectors;

public final class RecordsPeer {
    private static final long T0 = 1700000000000L;
    private static final TopicPartition PARTITION = new TopicPartition("t", 0);
    private static final PrintStream OUT = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false);

    private ProducerStateManager producers;
    private long nextOffset;

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "answer" -> new RecordsPeer().answer();
            case "write" -> write(new Random(Long.parseLong(arguments[1])), Integer.parseInt(arguments[2]));
            default -> capture();
        }
        OUT.flush();
    }

    private static String hex(ByteBuffer buffer) {
        if (buffer == null)
            return "null";
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return HexFormat.of().formatHex(bytes);
    }

    // ---- answers ----

    private void answer() throws Exception {
        StringBuilder out = new StringBuilder();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII), 1 << 20);
        for (String line = in.readLine(); line != null; line = in.readLine())
            out.append(answer(line.split(" "))).append('\n');
        OUT.print(out);
    }

    private String answer(String[] words) throws Exception {
        return switch (words[0]) {
            case "dump" -> dump(batch(words[1]));
            case "validate" -> validate(words);
            case "reset" -> reset();
            case "verify" -> verify(words);
            case "append" -> append(words);
            default -> producers();
        };
    }

    private static MemoryRecords records(String text) {
        return MemoryRecords.readableRecords(ByteBuffer.wrap(HexFormat.of().parseHex(text)));
    }

    private static MutableRecordBatch batch(String text) {
        return records(text).batches().iterator().next();
    }

    /** Bytes that are no text are lost in a String. */
    private static String headerKey(String key) {
        return key.chars().allMatch(c -> c < 0x80)
            ? HexFormat.of().formatHex(key.getBytes(StandardCharsets.US_ASCII)) : "no-ascii";
    }

    private static String dump(RecordBatch batch) {
        StringBuilder out = new StringBuilder();
        try {
            out.append(String.format("base=%d last=%d epoch=%d codec=%d time=%d max=%d pid=%d/%d/%d/%d txn=%b control=%b horizon=%d",
                batch.baseOffset(), batch.lastOffset(), batch.partitionLeaderEpoch(), batch.compressionType().id,
                batch.timestampType().id, batch.maxTimestamp(), batch.producerId(), batch.producerEpoch(),
                batch.baseSequence(), batch.lastSequence(), batch.isTransactional(), batch.isControlBatch(),
                batch.deleteHorizonMs().orElse(-1)));
            for (Record record : batch) {
                out.append(String.format(" [%d %d %d %s %s", record.offset(), record.timestamp(), record.sequence(),
                    hex(record.key()), hex(record.value())));
                for (Header header : record.headers())
                    out.append(' ').append(headerKey(header.key())).append('=').append(header.value() == null ? "null" : HexFormat.of().formatHex(header.value()));
                out.append(']');
            }
        } catch (ApiException e) {
            return "error " + Errors.forException(e).code();
        } catch (RuntimeException e) {
            return "error -1";
        }
        return out.toString();
    }

    private static Time clock(long now) {
        return (Time) Proxy.newProxyInstance(Time.class.getClassLoader(), new Class<?>[] {Time.class},
            (proxy, method, arguments) -> method.getReturnType() == long.class ? (Object) now : null);
    }

    private static final LogValidator.MetricsRecorder METRICS = new LogValidator.MetricsRecorder() {
        public void recordInvalidMagic() { }
        public void recordInvalidOffset() { }
        public void recordInvalidSequence() { }
        public void recordInvalidChecksums() { }
        public void recordNoKeyCompactedTopic() { }
    };

    private static String validate(String[] words) {
        MemoryRecords input = records(words[8]);
        try {
            CompressionType source = batch(words[8]).compressionType();
            CompressionType target = words[1].equals("producer") ? source : CompressionType.forName(words[1]);
            LogValidator validator = new LogValidator(input, PARTITION, clock(Long.parseLong(words[7])), source,
                Compression.of(target).build(), words[2].equals("1"), (byte) 2,
                words[3].equals("1") ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME,
                Long.parseLong(words[4]), Long.parseLong(words[5]), -1, AppendOrigin.CLIENT,
                Integer.parseInt(words[6]));
            LogValidator.ValidationResult result = validator.validateMessagesAndAssignOffsets(
                PrimitiveRef.ofLong(0), METRICS, BufferSupplier.NO_CACHING);
            String max = " max " + result.maxTimestampMs() + " ";
            if (result.messageSizeMaybeChanged())
                return "rebuilt" + max + dump(result.validatedRecords().batches().iterator().next());
            return "kept" + max + hex(result.validatedRecords().buffer());
        } catch (RecordValidationException e) {
            return "error " + Errors.forException(e.invalidException()).code() + " records " + e.recordErrors().stream()
                .map(error -> Integer.toString(error.batchIndex)).collect(Collectors.joining(","));
        } catch (ApiException e) {
            return "error " + Errors.forException(e).code();
        } catch (RuntimeException e) {
            return "error -1";
        }
    }

    // ---- producer state, in the steps of a log's append ----

    private String reset() throws Exception {
        File directory = Files.createTempDirectory("records-peer").toFile();
        directory.deleteOnExit();
        producers = new ProducerStateManager(PARTITION, directory, 900000, new ProducerStateManagerConfig(86400000, false),
            clock(T0));
        nextOffset = 0;
        return "reset";
    }

    private String verify(String[] words) {
        ProducerStateEntry entry = producers.activeProducers().get(Long.parseLong(words[1]));
        short epoch = Short.parseShort(words[2]);
        if (entry != null && (epoch < entry.producerEpoch()
                || epoch == entry.producerEpoch() && entry.currentTxnFirstOffset().isPresent()))
            return "verify"; /* a log asks nothing then */
        producers.maybeCreateVerificationStateEntry(Long.parseLong(words[1]), Integer.parseInt(words[3]),
            epoch, words[4].equals("1"));
        return "verify";
    }

    private static Optional<BatchMetadata> duplicate(ProducerStateEntry entry, RecordBatch batch) throws Exception {
        Method find = ProducerStateEntry.class.getDeclaredMethod("findDuplicateBatch", RecordBatch.class);
        find.setAccessible(true);
        @SuppressWarnings("unchecked")
        Optional<BatchMetadata> found = (Optional<BatchMetadata>) find.invoke(entry, batch);
        return found;
    }

    private String append(String[] words) throws Exception {
        AppendOrigin origin = AppendOrigin.valueOf(words[1]);
        MutableRecordBatch batch = batch(words[3]);
        batch.setLastOffset(nextOffset + batch.lastOffset() - batch.baseOffset());
        ProducerStateEntry entry = producers.activeProducers().get(batch.producerId());
        if (origin == AppendOrigin.CLIENT && entry != null) {
            Optional<BatchMetadata> found = duplicate(entry, batch);
            if (found.isPresent())
                return "duplicate " + found.get().firstOffset() + " " + found.get().lastOffset() + " "
                    + found.get().timestamp();
        }
        boolean open = entry != null && entry.currentTxnFirstOffset().isPresent()
            && entry.producerEpoch() == batch.producerEpoch();
        if (origin != AppendOrigin.REPLICATION && batch.isTransactional() && !open && entry != null
                && batch.producerEpoch() < entry.producerEpoch())
            return "error 47";
        Map<Long, ProducerAppendInfo> updated = new HashMap<>();
        Optional<CompletedTxn> completed;
        try {
            completed = UnifiedLog.updateProducers(producers, batch, updated, Optional.empty(), origin,
                Short.parseShort(words[2]));
        } catch (ApiException e) {
            return "error " + Errors.forException(e).code();
        }
        updated.values().forEach(producers::update);
        nextOffset = batch.lastOffset() + 1;
        producers.updateMapEndOffset(nextOffset);
        String answer = "appended";
        if (completed.isPresent()) {
            CompletedTxn done = completed.get();
            answer += " " + done.firstOffset() + " " + done.lastOffset() + " " + done.isAborted() + " "
                + producers.lastStableOffset(done);
            producers.completeTxn(done);
        }
        long unstable = producers.firstUnstableOffset().map(offset -> offset.messageOffset).orElse(-1L);
        return answer + " unstable " + unstable;
    }

    private String producers() {
        StringBuilder out = new StringBuilder("producers");
        for (ProducerStateEntry entry : new TreeMap<>(producers.activeProducers()).values()) {
            out.append(String.format(" [%d %d %d %d %d", entry.producerId(), entry.producerEpoch(),
                entry.coordinatorEpoch(), entry.lastTimestamp(), entry.currentTxnFirstOffset().orElse(-1)));
            for (BatchMetadata batch : entry.batchMetadata())
                out.append(String.format(" %d/%d/%d/%d", batch.firstSeq(), batch.lastSeq(), batch.firstOffset(),
                    batch.lastOffset()));
            out.append(']');
        }
        return out.toString();
    }

    // ---- random batches of Kafka's making ----

    private static final Compression[] CODECS = {
        Compression.NONE, Compression.gzip().build(), Compression.gzip().level(1).build(), Compression.snappy().build(),
        Compression.lz4().build(), Compression.lz4().level(17).build(), Compression.zstd().build(),
        Compression.zstd().level(19).build(), Compression.zstd().level(-10).build()
    };

    private static byte[] field(Random random, boolean nullable) {
        if (nullable && random.nextInt(5) == 0)
            return null;
        byte[] bytes = new byte[random.nextInt(random.nextInt(20) == 0 ? 100000 : 30)];
        random.nextBytes(bytes);
        for (int i = 0; i < bytes.length; i++)
            bytes[i] &= 0x63; /* something to compress */
        return bytes;
    }

    private static void write(Random random, int count) {
        for (int i = 0; i < count; i++) {
            boolean producer = random.nextBoolean();
            boolean appendTime = random.nextInt(4) == 0;
            long offset = random.nextLong() >>> (2 + random.nextInt(60));
            MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1 << 12), (byte) 2,
                CODECS[i % CODECS.length], appendTime ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME,
                offset, appendTime ? T0 : -1, producer ? random.nextLong() >>> 1 : -1,
                producer ? (short) random.nextInt(32768) : -1, producer ? random.nextInt() >>> 1 : -1,
                producer && random.nextBoolean(), random.nextInt() >>> 1);
            for (int records = 1 + random.nextInt(20); records > 0; records--) {
                Header[] headers = new Header[random.nextInt(3)];
                for (int h = 0; h < headers.length; h++)
                    headers[h] = new RecordHeader("h" + random.nextInt(10), field(random, true));
                byte[] key = field(random, true), value = field(random, true);
                builder.appendWithOffset(offset, random.nextInt(10) == 0 ? -1 : random.nextLong() >>> (1 + random.nextInt(60)),
                    key, value, headers);
                offset += random.nextInt(4) == 0 ? 1 + random.nextInt(1000) : 1;
            }
            OUT.println("dump " + hex(builder.build().buffer()));
        }
    }

    // ---- golden bytes ----

    private static void golden(String name, MemoryRecords records) {
        OUT.println(name + " " + hex(records.buffer()));
    }

    private static MemoryRecords two(Compression compression) {
        MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1 << 12), compression,
            TimestampType.CREATE_TIME, 0L);
        builder.append(T0, "k1".getBytes(), "v1".getBytes(), new Header[] {new RecordHeader("h", "x".getBytes())});
        builder.append(T0 + 5, null, "v2".getBytes());
        return builder.build();
    }

    private static void captureBatches() {
        golden("none", two(Compression.NONE));
        golden("gzip", two(Compression.gzip().build()));
        golden("snappy", two(Compression.snappy().build()));
        golden("lz4", two(Compression.lz4().build()));
        golden("lz4-high", two(Compression.lz4().level(1).build()));
        golden("zstd", two(Compression.zstd().build()));
        MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1 << 12), (byte) 2, Compression.NONE,
            TimestampType.LOG_APPEND_TIME, 42L, T0 + 9, 1000L, (short) 2, Integer.MAX_VALUE, true, 7);
        builder.append(T0, "a".getBytes(), null);
        builder.append(-1L, new byte[0], new byte[0]);
        golden("transactional", builder.build());
    }

    private static void captureControl() {
        golden("commit", MemoryRecords.withEndTransactionMarker(7, T0, 3, 1000, (short) 2,
            new EndTransactionMarker(ControlRecordType.COMMIT, 9)));
        golden("abort", MemoryRecords.withEndTransactionMarker(7, T0, 3, 1000, (short) 2,
            new EndTransactionMarker(ControlRecordType.ABORT, 9)));
        LeaderChangeMessage change = new LeaderChangeMessage().setVersion((short) 0).setLeaderId(1)
            .setVoters(List.of(new LeaderChangeMessage.Voter().setVoterId(1), new LeaderChangeMessage.Voter().setVoterId(2)))
            .setGrantingVoters(List.of(new LeaderChangeMessage.Voter().setVoterId(2)));
        golden("leader-change", MemoryRecords.withLeaderChangeMessage(10, T0, 4, ByteBuffer.allocate(512), change));
        golden("snapshot-header", MemoryRecords.withSnapshotHeaderRecord(0, T0, 4, ByteBuffer.allocate(512),
            new SnapshotHeaderRecord().setVersion((short) 0).setLastContainedLogTimestamp(T0 - 1)));
        golden("snapshot-footer", MemoryRecords.withSnapshotFooterRecord(5, T0, 4, ByteBuffer.allocate(512),
            new SnapshotFooterRecord().setVersion((short) 0)));
        golden("kraft-version", MemoryRecords.withKRaftVersionRecord(6, T0, 4, ByteBuffer.allocate(512),
            new KRaftVersionRecord().setVersion((short) 0).setKRaftVersion((short) 1)));
        VotersRecord.Voter voter = new VotersRecord.Voter().setVoterId(3).setVoterDirectoryId(new Uuid(1, 2))
            .setKRaftVersionFeature(new VotersRecord.KRaftVersionFeature().setMinSupportedVersion((short) 0)
                .setMaxSupportedVersion((short) 1));
        voter.endpoints().add(new VotersRecord.Endpoint().setName("CONTROLLER").setHost("localhost").setPort(9093));
        golden("voters", MemoryRecords.withVotersRecord(7, T0, 4, ByteBuffer.allocate(512),
            new VotersRecord().setVersion((short) 0).setVoters(List.of(voter))));
    }

    private static void captureFiles() throws Exception {
        Path folder = Files.createTempDirectory("records-capture");
        File snapshot = folder.resolve("1.snapshot").toFile();
        ProducerStateManager.writeSnapshot(snapshot, Map.of(), false);
        OUT.println("producers-none " + HexFormat.of().formatHex(Files.readAllBytes(snapshot.toPath())));
        snapshot = folder.resolve("2.snapshot").toFile();
        ProducerStateManager.writeSnapshot(snapshot, Map.of(1000L,
            new ProducerStateEntry(1000L, (short) 2, 9, T0, OptionalLong.of(100))), false);
        OUT.println("producers-one " + HexFormat.of().formatHex(Files.readAllBytes(snapshot.toPath())));
        ProducerStateManager manager = new ProducerStateManager(PARTITION, folder.toFile(), 900000,
            new ProducerStateManagerConfig(86400000, false), clock(T0));
        for (int pid = 1; pid <= 3; pid++) {
            Map<Long, ProducerAppendInfo> updated = new HashMap<>();
            MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1 << 12), (byte) 2,
                Compression.NONE, TimestampType.CREATE_TIME, 10L * pid, -1, pid, (short) pid, 5 * pid, pid == 2, 0);
            for (int i = 0; i < pid; i++)
                builder.append(T0 + i, null, "v".getBytes());
            UnifiedLog.updateProducers(manager, builder.build().batches().iterator().next(), updated, Optional.empty(),
                AppendOrigin.CLIENT, (short) 0);
            updated.values().forEach(manager::update);
        }
        manager.updateMapEndOffset(33);
        OUT.println("producers-three " + HexFormat.of().formatHex(
            Files.readAllBytes(manager.takeSnapshot(false).orElseThrow().toPath())));
        File index = folder.resolve("0.txnindex").toFile();
        TransactionIndex transactions = new TransactionIndex(0, index);
        transactions.append(new AbortedTxn().setProducerId(1000).setFirstOffset(100).setLastOffset(110)
            .setLastStableOffset(111));
        transactions.append(new AbortedTxn().setProducerId(1001).setFirstOffset(90).setLastOffset(120)
            .setLastStableOffset(95));
        transactions.close();
        OUT.println("txnindex " + HexFormat.of().formatHex(Files.readAllBytes(index.toPath())));
    }

    private static void capture() throws Exception {
        captureBatches();
        captureControl();
        captureFiles();
    }
}
