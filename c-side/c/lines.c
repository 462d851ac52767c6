/*
 * A C library with threads of its own, as a callback sees it. It makes N threads with plain
 * pthread_create (no signal stack, nothing known of Rust). Each thread splits its part of a text
 * into lines and calls a function pointer. Beside it are plain counters for the expected result.
 */
#include "c_side.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    pthread_t thread;
    const char *from;
    const char *to;
    size_t rounds;
    c_on_line on_line;
    void *ctx;
    struct c_lines_report report;
};

static void read_part(struct reader *reader) {
    struct c_lines_report *report = &reader->report;
    const char *line = reader->from;
    while (line < reader->to) {
        const char *end = memchr(line, '\n', (size_t)(reader->to - line));
        size_t len = (size_t)((end ? end : reader->to) - line);
        int64_t total = reader->on_line(reader->ctx, line, len);
        report->lines++;
        if (total < 0) {
            report->refused++;
        } else if (total < report->last_total) {
            report->backwards++;
        } else {
            report->last_total = total;
        }
        line += len + 1;
    }
}

static void *reader_main(void *arg) {
    struct reader *reader = arg;
    c_storm_enrol();
    for (size_t round = 0; round < reader->rounds; round++) {
        read_part(reader);
    }
    return NULL;
}

/* The start of the first line at or after `at`. */
static const char *line_start(const char *text, size_t len, size_t at) {
    if (at == 0 || at >= len || text[at - 1] == '\n') {
        return text + (at < len ? at : len);
    }
    const char *end = memchr(text + at, '\n', len - at);
    return end ? end + 1 : text + len;
}

/*
 * Returns 0, or the errno value for which a thread could not be made; the threads made before it
 * have run all the same.
 */
int c_lines_run(const char *text, size_t len, size_t rounds, c_on_line on_line, void *const *ctxs,
                size_t threads, struct c_lines_report *out) {
    int error = 0;
    size_t made = 0;
    struct reader *readers = calloc(threads, sizeof *readers);
    memset(out, 0, sizeof *out);
    if (readers == NULL) {
        return threads == 0 ? 0 : ENOMEM;
    }
    for (; made < threads; made++) {
        struct reader *reader = &readers[made];
        reader->from = line_start(text, len, len / threads * made);
        reader->to = made + 1 == threads ? text + len
                                         : line_start(text, len, len / threads * (made + 1));
        reader->rounds = rounds;
        reader->on_line = on_line;
        reader->ctx = ctxs[made];
        error = pthread_create(&reader->thread, NULL, reader_main, reader);
        if (error != 0) {
            break;
        }
    }
    for (size_t i = 0; i < made; i++) {
        const struct c_lines_report *report = &readers[i].report;
        pthread_join(readers[i].thread, NULL);
        out->lines += report->lines;
        out->refused += report->refused;
        out->backwards += report->backwards;
        if (report->last_total > out->last_total) {
            out->last_total = report->last_total;
        }
    }
    free(readers);
    return error;
}

static int is_space(char byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Counts words: runs of bytes that are no ASCII white space, in whatever encoding. */
uint64_t c_count_words(const char *text, size_t len) {
    uint64_t words = 0;
    int inside = 0;
    for (size_t i = 0; i < len; i++) {
        int space = is_space(text[i]);
        words += (uint64_t)(!space && !inside);
        inside = !space;
    }
    return words;
}

/* Counts lines: newlines, and one more if bytes follow the last newline. */
uint64_t c_count_lines(const char *text, size_t len) {
    uint64_t lines = 0;
    for (size_t i = 0; i < len; i++) {
        lines += text[i] == '\n';
    }
    return lines + (len > 0 && text[len - 1] != '\n');
}
