// SPDX-License-Identifier: Apache-2.0
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadInfo;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;

/**
 * Runs the main methods of many tools, one after the other, in one JVM.
 *
 * Each line of standard input is one run: {"main": class, "arguments": […], "input": text,
 * "seconds": limit, "released": whether on the class path of the property tools.path}. Each line of
 * standard output answers it: {"exit": code, "output": text, "errors": text}; the code
 * is null where the tool had not ended within its time, and this JVM is then of no further use. A
 * tool leaves by Exit, which here unwinds its thread instead.
 */
public class ToolRunner {
    private static final String EXIT = "org.apache.kafka.common.utils.internals.Exit";
    private static final String EXIT_BEFORE = "org.apache.kafka.common.utils.Exit"; /* until 4.3 */
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final List<Runnable> HOOKS = new CopyOnWriteArrayList<>();
    private static volatile Integer exitCode;

    /** Unwinds a tool that exits. A tool may catch it and exit again: the first code counts. */
    private static final class Exited extends Error {
        Exited() {
            super("exit", null, false, false);
        }
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        BufferedReader runs = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        Locale.setDefault(Locale.ROOT);
        ClassLoader own = ToolRunner.class.getClassLoader();
        ClassLoader tools = toolsLoader();
        takeOverExits(own);
        takeOverExits(tools);
        for (String line = runs.readLine(); line != null; line = runs.readLine()) {
            answers.println(MAPPER.writeValueAsString(run(MAPPER.readTree(line), own, tools)));
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    /** The class path of the tools alone, apart from that of this JVM. */
    private static ClassLoader toolsLoader() throws Exception {
        List<URL> jars = new ArrayList<>();
        for (String jar : System.getProperty("tools.path").split(":"))
            jars.add(Path.of(jar).toUri().toURL());
        return new URLClassLoader(jars.toArray(new URL[0]), ClassLoader.getPlatformClassLoader());
    }

    /** Kafka's way out of the JVM, by the name that it has in the loader's release. */
    private static void takeOverExits(ClassLoader loader) throws Exception {
        for (String name : List.of(EXIT, EXIT_BEFORE)) {
            try {
                Class<?> exit = Class.forName(name, true, loader);
                set(exit, "setExitProcedure", "Procedure", ToolRunner::leave);
                set(exit, "setHaltProcedure", "Procedure", ToolRunner::leave);
                set(exit, "setShutdownHookAdder", "ShutdownHookAdder",
                    arguments -> HOOKS.add((Runnable) arguments[1]));
            } catch (ClassNotFoundException absent) {
                continue;
            }
        }
    }

    private static void set(Class<?> exit, String setter, String type, Consumer<Object[]> action)
            throws Exception {
        Class<?> accepted = Class.forName(exit.getName() + "$" + type, true, exit.getClassLoader());
        Object procedure = Proxy.newProxyInstance(exit.getClassLoader(), new Class<?>[] {accepted},
            (proxy, method, arguments) -> {
                action.accept(arguments);
                return null;
            });
        exit.getMethod(setter, accepted).invoke(null, procedure);
    }

    private static void leave(Object[] arguments) {
        if (arguments[1] != null)
            System.err.println(arguments[1]);
        if (exitCode == null)
            exitCode = (Integer) arguments[0];
        throw new Exited();
    }

    private static ObjectNode run(JsonNode run, ClassLoader own, ClassLoader tools) throws Exception {
        ByteArrayOutputStream output = new ByteArrayOutputStream();
        ByteArrayOutputStream errors = new ByteArrayOutputStream();
        ClassLoader loader = run.path("released").asBoolean() ? tools : own;
        String[] arguments = MAPPER.convertValue(run.get("arguments"), String[].class);
        int[] code = {0};

        HOOKS.clear();
        exitCode = null;
        System.setIn(new ByteArrayInputStream(run.path("input").asText().getBytes(StandardCharsets.UTF_8)));
        System.setOut(new PrintStream(output, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(errors, true, StandardCharsets.UTF_8));
        Thread tool = new Thread(() -> code[0] = call(loader, run.get("main").asText(), arguments), "tool");
        tool.setContextClassLoader(loader);
        tool.setDaemon(true);
        tool.start();
        tool.join(run.path("seconds").asLong(60) * 1000);

        ObjectNode answer = MAPPER.createObjectNode();
        if (tool.isAlive()) {
            dumpThreads();
            answer.putNull("exit");
        } else {
            answer.put("exit", code[0]);
        }
        System.out.flush();
        System.err.flush();
        answer.put("output", output.toString(StandardCharsets.UTF_8));
        answer.put("errors", errors.toString(StandardCharsets.UTF_8));
        return answer;
    }

    /** A tool's main, then what it would have run at the end of its JVM. */
    private static int call(ClassLoader loader, String name, String[] arguments) {
        int code = unwinding(() -> Class.forName(name, true, loader).getMethod("main", String[].class)
            .invoke(null, (Object) arguments));
        for (Runnable hook : HOOKS)
            unwinding(() -> {
                hook.run();
                return null;
            });
        return code;
    }

    private interface Body {
        Object run() throws Exception;
    }

    private static int unwinding(Body body) {
        try {
            body.run();
            return exitCode == null ? 0 : exitCode;
        } catch (Throwable thrown) {
            if (exitCode != null)
                return exitCode;
            (thrown instanceof InvocationTargetException ? thrown.getCause() : thrown).printStackTrace();
            return 1;
        }
    }

    private static void dumpThreads() {
        for (ThreadInfo thread : ManagementFactory.getThreadMXBean().dumpAllThreads(false, false))
            System.err.print(thread);
    }
}
