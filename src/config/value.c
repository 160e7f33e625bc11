/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/value.c: one text against one key: parse, check, print; with Kafka's messages.
 * Invariant   config_value_text of a parsed value parses to the same value.
 */
#include "config/config_internal.h"

#include "base/fmt.h"
#include "base/parse.h"

static const char *type_name(enum config_type type)
{
    switch (type) {
    case CONFIG_TYPE_INT:
        return "INT";
    case CONFIG_TYPE_SHORT:
        return "SHORT";
    case CONFIG_TYPE_LONG:
        return "LONG";
    default:
        return "DOUBLE";
    }
}

static enum err invalid(struct why *why, const struct config_key *key, struct slice text,
                        const char *problem)
{
    /* A password never reaches a message. */
    if (key->type == CONFIG_TYPE_PASSWORD)
        text = SLICE("[hidden]");
    return why_set(why, ERR_CONFIG, "Invalid value %.*s for configuration %s%s%s",
                   SLICE_ARGS(slice_is_null(text) ? SLICE("null") : text), key->name,
                   problem[0] ? ": " : "", problem);
}

/* Java takes one leading plus sign. */
static struct slice without_plus(struct slice text)
{
    if (text.size_bytes > 1 && text.data[0] == '+' && text.data[1] >= '0' && text.data[1] <= '9')
        return slice_sub(text, 1, text.size_bytes - 1);
    return text;
}

static enum err parse_integer(const struct config_key *key, struct slice text, struct slice raw,
                              int64_t *out, struct why *why)
{
    char problem[64];
    int64_t low = INT64_MIN;
    int64_t high = INT64_MAX;

    if (key->type == CONFIG_TYPE_INT) {
        low = INT32_MIN;
        high = INT32_MAX;
    } else if (key->type == CONFIG_TYPE_SHORT) {
        low = INT16_MIN;
        high = INT16_MAX;
    }
    if (parse_i64(without_plus(text), out) == OK && *out >= low && *out <= high)
        return OK;
    fmt(problem, sizeof problem, "Not a number of type %s", type_name(key->type));
    return invalid(why, key, raw, problem);
}

static enum err check_range(const struct config_key *key, struct slice shown, double number,
                            struct why *why)
{
    const struct config_check *check = &key->check;
    char problem[96];

    if (check->minimum_text && number < check->minimum) {
        fmt(problem, sizeof problem, "Value must be at least %s", check->minimum_text);
        return invalid(why, key, shown, problem);
    }
    if (check->maximum_text && number > check->maximum) {
        fmt(problem, sizeof problem, "Value must be no more than %s", check->maximum_text);
        return invalid(why, key, shown, problem);
    }
    if (check->kind == CONFIG_CHECK_GZIP_LEVEL && (number > 9 || (number < 1 && number != -1)))
        return invalid(why, key, shown, "Value must be between 1 and 9 or equal to -1");
    return OK;
}

static void words_join(char *out, size_t capacity, const char *before, const char *const *words)
{
    struct text text;

    text_init(&text, out, capacity);
    text_add(&text, "%s", before);
    for (size_t i = 0; words[i]; i++)
        text_add(&text, "%s%s", i > 0 ? ", " : "", words[i]);
}

static enum err check_word(const struct config_key *key, struct slice value, struct why *why)
{
    bool any_case = key->check.kind == CONFIG_CHECK_WORD_ANY_CASE;
    char problem[256];

    for (size_t i = 0; !slice_is_null(value) && key->check.words[i]; i++) {
        struct slice word = slice_from_text(key->check.words[i]);

        if (any_case ? config_equal_any_case(value, word) : slice_equal(value, word))
            return OK;
    }
    words_join(problem, sizeof problem,
               any_case ? "String must be one of (case insensitive): " : "String must be one of: ",
               key->check.words);
    return invalid(why, key, value, problem);
}

/* Repeats are dropped, as Kafka does with a warning. */
static enum err check_list(struct arena *arena, const struct config_key *key,
                           struct config_list *list, struct why *why)
{
    struct slice *items = (struct slice *)list->items;
    uint32_t *firsts;
    size_t count = 0;

    TRY(config_list_firsts(arena, *list, &firsts));
    for (size_t i = 0; i < list->count; i++)
        if (firsts[i] == i)
            items[count++] = items[i];
    list->count = count;
    if (count == 0 && !key->check.empty_allowed) {
        char valid[256] = "any non-empty value";

        if (key->check.words) {
            words_join(valid, sizeof valid - 1, "[", key->check.words);
            memcpy(valid + strlen(valid), "]", 2);
        }
        return why_set(why, ERR_CONFIG,
                       "Configuration '%s' must not be empty. Valid values include: %s", key->name,
                       valid);
    }
    for (size_t i = 0; i < count; i++) {
        if (items[i].size_bytes == 0)
            return why_set(why, ERR_CONFIG, "Configuration '%s' values must not be empty.",
                           key->name);
        if (key->check.words)
            TRY(check_word(key, items[i], why));
    }
    return OK;
}

static bool is_throttled_replica(struct slice item)
{
    size_t digits = 0;
    bool colon = false;

    for (size_t i = 0; i < item.size_bytes; i++) {
        if (item.data[i] == ':' && !colon && digits > 0) {
            colon = true;
            digits = 0;
        } else if (item.data[i] >= '0' && item.data[i] <= '9') {
            digits++;
        } else {
            return false;
        }
    }
    return item.size_bytes == 0 || (colon && digits > 0);
}

static enum err check_throttled(struct arena *arena, const struct config_key *key,
                                struct config_list list, struct why *why)
{
    bool pairs = true;
    size_t stars = 0;
    size_t others = 0;
    char problem[256];

    for (size_t i = 0; i < list.count; i++) {
        pairs = pairs && is_throttled_replica(list.items[i]);
        if (slice_equal(list.items[i], SLICE("*")))
            stars++;
        else
            others += list.items[i].size_bytes;
    }
    if (pairs || (stars == 1 && others == 0))
        return OK;
    fmt(problem, sizeof problem,
        "%s must be the literal '*' or a list of replicas in the following format: "
        "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
        key->name);
    return invalid(why, key, config_list_show(arena, list), problem);
}

/* PnDTnHnMn.nS, not negative. */
static bool is_duration(struct slice text)
{
    size_t i = 1;
    bool time = false;
    size_t parts = 0;

    if (text.size_bytes < 2 || (text.data[0] != 'P' && text.data[0] != 'p'))
        return false;
    while (i < text.size_bytes) {
        size_t digits = 0;
        bool point = false;
        uint8_t unit;

        if ((text.data[i] == 'T' || text.data[i] == 't') && !time) {
            time = true;
            parts = 0;
            i++;
            continue;
        }
        if (text.data[i] == '+')
            i++;
        for (; i < text.size_bytes &&
               ((text.data[i] >= '0' && text.data[i] <= '9') || (text.data[i] == '.' && !point));
             i++) {
            point = point || text.data[i] == '.';
            digits++;
        }
        if (i == text.size_bytes || digits == 0)
            return false;
        unit = text.data[i++] & (uint8_t)~0x20;
        if (!(time ? unit == 'H' || unit == 'M' || unit == 'S' : unit == 'D') ||
            (point && unit != 'S'))
            return false;
        parts++;
    }
    return parts > 0;
}

static enum err check_share_reset(const struct config_key *key, struct slice value, struct why *why)
{
    struct slice by = SLICE("by_duration:");
    char problem[320];

    if (slice_equal(value, SLICE("earliest")) || slice_equal(value, SLICE("latest")))
        return OK;
    if (slice_starts_with(value, by) && is_duration(slice_sub(value, by.size_bytes, SIZE_MAX)))
        return OK;
    fmt(problem, sizeof problem,
        "Invalid value `%.*s` for configuration %s. The value must be either 'earliest', 'latest' "
        "or of the format 'by_duration:<PnDTnHnMn.nS>'.",
        SLICE_ARGS(value), key->name);
    return invalid(why, key, value, problem);
}

static enum err check_string(const struct config_key *key, struct slice value, struct why *why)
{
    struct slice host;
    int32_t port;

    switch (key->check.kind) {
    case CONFIG_CHECK_WORD:
    case CONFIG_CHECK_WORD_ANY_CASE:
        return check_word(key, value, why);
    case CONFIG_CHECK_NOT_EMPTY:
        return value.size_bytes > 0 ? OK : invalid(why, key, value, "String must be non-empty");
    case CONFIG_CHECK_SHARE_OFFSET_RESET:
        return check_share_reset(key, value, why);
    case CONFIG_CHECK_HTTP_LISTENER:
        return value.size_bytes == 0 || config_host_port(value, &host, &port)
                   ? OK
                   : invalid(why, key, value, "Value must be host:port or empty");
    default:
        return OK;
    }
}

static enum err check_items(struct arena *arena, const struct config_key *key,
                            struct config_list *list, struct why *why)
{
    struct voter_config voter;
    struct endpoint_config endpoint;

    switch (key->check.kind) {
    case CONFIG_CHECK_LIST:
        return check_list(arena, key, list, why);
    case CONFIG_CHECK_THROTTLED_REPLICAS:
        return check_throttled(arena, key, *list, why);
    case CONFIG_CHECK_VOTERS:
        for (size_t i = 0; i < list->count; i++)
            TRY(config_voter_parse(list->items[i], &voter, why));
        return OK;
    case CONFIG_CHECK_BOOTSTRAP_SERVERS:
        for (size_t i = 0; i < list->count; i++)
            TRY(config_bootstrap_parse(list->items[i], &endpoint, why));
        return OK;
    default:
        return OK;
    }
}

static enum err parse_number(struct arena *arena, const struct config_key *key, struct slice raw,
                             struct config_value *out, struct why *why)
{
    double number;

    if (key->type == CONFIG_TYPE_DOUBLE) {
        if (parse_f64(without_plus(out->text), &out->as.real) != OK)
            return invalid(why, key, raw, "Not a number of type DOUBLE");
        number = out->as.real;
    } else {
        TRY(parse_integer(key, out->text, raw, &out->as.integer, why));
        number = (double)out->as.integer;
    }
    return check_range(key, config_value_text(arena, key, out), number, why);
}

enum err config_value_parse(struct arena *arena, const struct config_key *key, struct slice text,
                            struct config_value *out, struct why *why)
{
    *out = (struct config_value){.null = slice_is_null(text), .text = config_trim(text)};
    if (out->null)
        return OK;
    switch (key->type) {
    case CONFIG_TYPE_BOOLEAN:
        out->as.boolean = config_equal_any_case(out->text, SLICE("true"));
        if (!out->as.boolean && !config_equal_any_case(out->text, SLICE("false")))
            return invalid(why, key, text, "Expected value to be either true or false");
        return OK;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_SHORT:
    case CONFIG_TYPE_LONG:
    case CONFIG_TYPE_DOUBLE:
        return parse_number(arena, key, text, out, why);
    case CONFIG_TYPE_LIST:
        TRY(config_split(arena, out->text, &out->as.list));
        return check_items(arena, key, &out->as.list, why);
    default:
        out->as.string = out->text;
        return check_string(key, out->text, why);
    }
}

struct slice config_value_text(struct arena *arena, const struct config_key *key,
                               const struct config_value *value)
{
    if (value->null)
        return SLICE_NULL;
    switch (key->type) {
    case CONFIG_TYPE_BOOLEAN:
        return value->as.boolean ? SLICE("true") : SLICE("false");
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_SHORT:
    case CONFIG_TYPE_LONG:
        return arena_format_slice(arena, "%lld", (long long)value->as.integer);
    case CONFIG_TYPE_DOUBLE:
        return config_double_text(arena, value->text);
    case CONFIG_TYPE_LIST:
        return config_join(arena, value->as.list);
    default:
        return value->as.string;
    }
}

/* ---- Doubles ---------------------------------------------------------------------------------- */

#define DIGITS_MAX 64
/* 0.d1d2… times ten to the `exponent`; the digits begin and end with one that is not 0. */
struct decimal {
    bool negative;
    char digits[DIGITS_MAX];
    int count;
    int exponent;
};

/* Only texts that parse_f64 has taken come here; too many digits are cut. */
static struct decimal decimal_of(struct slice text)
{
    struct decimal decimal = {0};
    size_t i = 0;
    bool point = false;
    int32_t power = 0;

    if (text.size_bytes > 0 && (text.data[0] == '-' || text.data[0] == '+'))
        decimal.negative = text.data[i++] == '-';
    for (; i < text.size_bytes; i++) {
        uint8_t byte = text.data[i];

        if (byte == '.') {
            point = true;
        } else if (byte >= '0' && byte <= '9') {
            if (decimal.count == 0 && byte == '0') {
                decimal.exponent -= point; /* zeros in front */
                continue;
            }
            decimal.exponent += !point;
            if (decimal.count < DIGITS_MAX)
                decimal.digits[decimal.count++] = (char)byte;
        } else {
            break;
        }
    }
    if (i < text.size_bytes && (text.data[i] == 'e' || text.data[i] == 'E') &&
        parse_i32(without_plus(slice_sub(text, i + 1, SIZE_MAX)), &power) == OK)
        decimal.exponent += (int)power;
    while (decimal.count > 0 && decimal.digits[decimal.count - 1] == '0')
        decimal.count--;
    return decimal;
}

struct slice config_double_text(struct arena *arena, struct slice text)
{
    struct decimal d = {0};
    char buffer[2 * DIGITS_MAX];
    struct text out;
    double value = 0;

    /* What is too small is zero, however its digits are written. */
    if (parse_f64(without_plus(text), &value) == OK && (value < 0 || value > 0))
        d = decimal_of(text);
    else
        d.negative = text.size_bytes > 0 && text.data[0] == '-';
    text_init(&out, buffer, sizeof buffer);
    if (d.negative)
        text_add(&out, "-");
    if (d.count == 0) {
        text_add(&out, "0.0");
    } else if (d.exponent > -3 && d.exponent <= 7) { /* 1e-3 ≤ |x| < 1e7 */
        for (int i = 0; i < d.exponent; i++)
            text_add(&out, "%c", i < d.count ? d.digits[i] : '0');
        if (d.exponent <= 0)
            text_add(&out, "0");
        text_add(&out, ".");
        for (int i = d.exponent; i < 0; i++)
            text_add(&out, "0");
        for (int i = MAX(d.exponent, 0); i < d.count; i++)
            text_add(&out, "%c", d.digits[i]);
        if (d.exponent >= d.count)
            text_add(&out, "0");
    } else {
        text_add(&out, "%c.", d.digits[0]);
        if (d.count == 1)
            text_add(&out, "0");
        for (int i = 1; i < d.count; i++)
            text_add(&out, "%c", d.digits[i]);
        text_add(&out, "E%d", d.exponent - 1);
    }
    return arena_copy(arena, slice_of(out.data, out.size_bytes));
}

/* ---- Sizes and times with a suffix ------------------------------------------------------------ */

struct suffix {
    const char *text;
    bool time;
    int64_t factor; /* bytes or milliseconds */
};
static const struct suffix suffixes[] = {
    {"KiB", false, 1LL << 10}, {"MiB", false, 1LL << 20}, {"GiB", false, 1LL << 30},
    {"TiB", false, 1LL << 40}, {"B", false, 1},           {"ms", true, 1},
    {"min", true, 60000},      {"s", true, 1000},         {"h", true, 3600000},
    {"d", true, 86400000},
};

static int64_t unit_ms(enum config_unit unit)
{
    switch (unit) {
    case CONFIG_UNIT_MS:
        return 1;
    case CONFIG_UNIT_SECONDS:
        return 1000;
    case CONFIG_UNIT_MINUTES:
        return 60000;
    case CONFIG_UNIT_HOURS:
        return 3600000;
    default:
        return 0;
    }
}

bool config_value_suffix(struct arena *arena, const struct config_key *key, struct slice text,
                         struct slice *out)
{
    size_t digits = 0;
    int64_t number;
    struct slice rest;
    int64_t divisor = key->unit == CONFIG_UNIT_BYTES ? 1 : unit_ms(key->unit);

    text = config_trim(text);
    while (digits < text.size_bytes && text.data[digits] >= '0' && text.data[digits] <= '9')
        digits++;
    if (divisor == 0 || digits == 0 || parse_i64(slice_sub(text, 0, digits), &number) != OK)
        return false;
    rest = config_trim(slice_sub(text, digits, SIZE_MAX));
    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        if (!slice_equal_text(rest, suffixes[i].text) ||
            suffixes[i].time == (key->unit == CONFIG_UNIT_BYTES))
            continue;
        if (__builtin_mul_overflow(number, suffixes[i].factor, &number) || number % divisor != 0)
            return false;
        *out = arena_format_slice(arena, "%lld", (long long)(number / divisor));
        return !slice_is_null(*out);
    }
    return false;
}

bool config_value_is_default(struct arena *arena, const struct config_key *key, struct slice text)
{
    struct config_value value;
    struct config_value standard;
    struct slice a;
    struct slice b;

    if (config_value_parse(arena, key, text, &value, NULL) != OK ||
        config_value_parse(arena, key, slice_from_text(key->default_text), &standard, NULL) != OK)
        return false;
    a = config_value_text(arena, key, &value);
    b = config_value_text(arena, key, &standard);
    /* An empty text of a key without default asks for nothing. */
    return slice_equal(a, b) || (slice_is_null(b) && a.size_bytes == 0);
}
