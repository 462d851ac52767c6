/* A file system whose one file has a number of eight bytes at each of its places: what a callback
 * answers for it. libfuse makes threads as it needs them, and cancels them at the end. */
#define FUSE_USE_VERSION 31
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fuse3/fuse.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

typedef int64_t (*host_call)(int64_t value, void *user);

static host_call call;
static void *call_user;
static int64_t numbers;
static struct fuse *fuse;

static int get_attributes(const char *path, struct stat *attributes, struct fuse_file_info *info) {
    (void)info;
    memset(attributes, 0, sizeof *attributes);
    if (strcmp(path, "/") == 0) {
        attributes->st_mode = S_IFDIR | 0755;
        attributes->st_nlink = 2;
        return 0;
    }
    if (strcmp(path, "/numbers") != 0) return -ENOENT;
    attributes->st_mode = S_IFREG | 0444;
    attributes->st_nlink = 1;
    attributes->st_size = numbers * 8;
    return 0;
}

static int open_file(const char *path, struct fuse_file_info *info) {
    info->direct_io = 1; /* each read comes here */
    return strcmp(path, "/numbers") == 0 ? 0 : -ENOENT;
}

static int read_file(const char *path, char *to, size_t size, off_t at,
                     struct fuse_file_info *info) {
    (void)path, (void)info;
    if (size < 8 || at % 8 != 0 || at >= numbers * 8) return 0;
    int64_t answer = call(at / 8, call_user);
    memcpy(to, &answer, 8);
    return 8;
}

static const struct fuse_operations operations = {
    .getattr = get_attributes,
    .open = open_file,
    .read = read_file,
};

/* Mounts at `path`. 0, or -1. */
int host_fuse_mount(const char *path, int64_t count, host_call f, void *user) {
    char name[] = "gosched-hosts";
    char *words[] = {name, NULL};
    struct fuse_args arguments = FUSE_ARGS_INIT(1, words);
    call = f;
    call_user = user;
    numbers = count;
    fuse = fuse_new(&arguments, &operations, sizeof operations, NULL);
    if (!fuse) return -1;
    if (fuse_mount(fuse, path) == 0) return 0;
    fuse_destroy(fuse);
    return -1;
}

/* Serves until `host_fuse_unmount`, and joins the threads. */
int host_fuse_serve(void) {
    return fuse_loop_mt(fuse, 0);
}

/* Ends the loop: the next request, or the end of the mount, wakes it. */
void host_fuse_unmount(void) {
    fuse_exit(fuse);
    fuse_unmount(fuse);
}

void host_fuse_free(void) {
    fuse_destroy(fuse);
}
