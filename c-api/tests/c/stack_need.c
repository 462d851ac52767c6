// How much stack functions of the C library need, each measured on a fresh stack: the number of
// bytes from the top to the lowest one that is not zero any more. A call that the linker resolves
// counts with what the linker needs. Prints a line for each, and ends with 9 if one needs more than
// a quarter of what a goroutine has.
#define _GNU_SOURCE
#include "check.h"
#include <dlfcn.h>
#include <ftw.h>
#include <glob.h>
#include <iconv.h>
#include <locale.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <regex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <wchar.h>

static const size_t SIZE = 8 << 20;

static char text[20000];

static void *nothing(void *unused) { return unused; }

static void *prints_numbers(void *unused) {
    char buffer[6000];
    snprintf(buffer, sizeof buffer, "%f %.17g %s %d", 1e300, 0.1, "text", 7);
    return unused;
}

static void *prints_long_numbers(void *unused) {
    static char buffer[20000];
    snprintf(buffer, sizeof buffer, "%.4000Lf", 1.1e4000L);
    return unused;
}

static void *prints_wide(void *unused) {
    static wchar_t buffer[2000];
    swprintf(buffer, 2000, L"%ls %f", L"text", 1e300);
    return unused;
}

static void *reads_and_writes_a_file(void *unused) {
    FILE *file = tmpfile();
    CHECK(file);
    fprintf(file, "%d %f\n", 5, 0.5);
    rewind(file);
    int number;
    CHECK(fscanf(file, "%d", &number) == 1 && number == 5);
    fclose(file);
    return unused;
}

static int compares(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static void *sorts(void *unused) {
    static int numbers[100000];
    for (int i = 0; i < 100000; i++) numbers[i] = i * 7919 % 100003;
    qsort(numbers, 100000, sizeof *numbers, compares);
    return unused;
}

static void *matches(void *unused) {
    regex_t regex;
    regmatch_t match[3];
    CHECK(regcomp(&regex, "((a|b)*c+)+[[:alpha:]]{3,20}(x|y|z)*end", REG_EXTENDED) == 0);
    regexec(&regex, text, 3, match, 0);
    regfree(&regex);
    return unused;
}

static void *asks_for_a_host(void *unused) {
    struct addrinfo *found = NULL;
    if (getaddrinfo("localhost", "80", NULL, &found) == 0) freeaddrinfo(found);
    return unused;
}

static void *asks_for_an_unknown_host(void *unused) {
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_flags = AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    if (getaddrinfo("no-such-host.invalid", "80", &hints, &found) == 0) freeaddrinfo(found);
    return unused;
}

static void *asks_for_a_user(void *unused) {
    struct passwd entry, *found;
    char buffer[4096];
    getpwuid_r(getuid(), &entry, buffer, sizeof buffer, &found);
    return unused;
}

static void *tells_the_time(void *unused) {
    char buffer[200];
    time_t now = time(NULL);
    struct tm parts;
    strftime(buffer, sizeof buffer, "%c %Z", localtime_r(&now, &parts));
    return unused;
}

static void *converts(void *unused) {
    iconv_t converter = iconv_open("UTF-16", "UTF-8");
    if (converter != (iconv_t)-1) {
        char *from = text, into[1000], *to = into;
        size_t left = 100, room = sizeof into;
        iconv(converter, &from, &left, &to, &room);
        iconv_close(converter);
    }
    return unused;
}

static void *loads_a_library(void *unused) {
    void *library = dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL);
    if (library) dlclose(library);
    return unused;
}

static void *expands(void *unused) {
    glob_t found;
    if (glob("/usr/*/*.so*", 0, NULL, &found) == 0) globfree(&found);
    return unused;
}

static int sees(const char *path, const struct stat *status, int type, struct FTW *place) {
    (void)path, (void)status, (void)type;
    return place->level > 3;
}

static void *walks(void *unused) {
    nftw("/proc/self/task", sees, 10, FTW_PHYS);
    return unused;
}

static void *runs_a_program(void *unused) {
    CHECK(system("true") == 0);
    return unused;
}

static void *sets_a_locale(void *unused) {
    setlocale(LC_ALL, "C");
    return unused;
}

static const struct need {
    const char *what;
    void *(*body)(void *);
} needs[] = {
    {"nothing", nothing},
    {"snprintf of doubles", prints_numbers},
    {"snprintf of 4000 digits", prints_long_numbers},
    {"swprintf", prints_wide},
    {"tmpfile, fprintf, fscanf", reads_and_writes_a_file},
    {"qsort of 100,000", sorts},
    {"regcomp, regexec of 20 KB", matches},
    {"getaddrinfo(\"localhost\")", asks_for_a_host},
    {"getaddrinfo of no host", asks_for_an_unknown_host},
    {"getpwuid_r", asks_for_a_user},
    {"localtime_r, strftime", tells_the_time},
    {"iconv", converts},
    {"dlopen", loads_a_library},
    {"glob", expands},
    {"nftw", walks},
    {"system", runs_a_program},
    {"setlocale", sets_a_locale},
};

static size_t measure(void *(*body)(void *)) {
    char *stack = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(stack != MAP_FAILED);
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstack(&attributes, stack, SIZE) == 0);
    CHECK(pthread_create(&thread, &attributes, body, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
    size_t untouched = 0;
    while (untouched < SIZE && stack[untouched] == 0) untouched++;
    munmap(stack, SIZE);
    return SIZE - untouched;
}

int main(void) {
    for (size_t i = 0; i < sizeof text - 1; i++) text[i] = "abcx"[i * i % 7 % 4];
    int too_deep = 0;
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
        size_t used = measure(needs[i].body);
        printf("%-28s %8zu\n", needs[i].what, used);
        too_deep |= used > GOSCHED_STACK_SIZE / 4;
    }
    return too_deep ? 9 : 0;
}
