/* Writes down what a program does to the files below TENUN_RECORD_DIR, in the order in which it does it, so that a test
 * can build what a disk may hold after a power cut (tests/src/powerloss.rs reads the journal).
 *
 * Preloaded into the real programs. A sync is noted after it has returned, everything else once it is done; a lock keeps
 * the threads' notes in the order of their deeds. An entry, in the machine's byte order:
 *   kind (1 byte), file (8), offset (8), length of the name (4), length of the data (4), name, data
 * Kinds: C made, W written, T cut to the offset, S synced, D folder synced, R renamed, L linked (the data is the new name),
 * U removed, M folder made, O about to print. A file is its inode's number; a made file begins a new one. Only x86-64 and arm64 Linux
 * with glibc are known to work.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static const char *below;
/* Which descriptors are files below the folder: 1 a file, 2 a folder. */
static unsigned char kinds[MOST];
static uint64_t files[MOST];
static char *names[MOST];

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    below = getenv("TENUN_RECORD_DIR");
    const char *file = getenv("TENUN_RECORD_JOURNAL");
    if (below && file) {
        journal = NEXT(open)(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    if (journal < 0 || journal >= MOST) {
        /* Without a journal the test would prove nothing. */
        _exit(97);
    }
}

static void note(char kind, uint64_t file, uint64_t offset, const char *name, const void *data, size_t length) {
    char head[25];
    uint32_t sizes[2] = {(uint32_t)strlen(name), (uint32_t)length};
    head[0] = kind;
    memcpy(head + 1, &file, 8);
    memcpy(head + 9, &offset, 8);
    memcpy(head + 17, sizes, 8);
    struct iovec parts[3] = {{head, 25}, {(void *)name, sizes[0]}, {(void *)data, length}};
    if (NEXT(writev)(journal, parts, 3) != (ssize_t)(25 + sizes[0] + length)) {
        _exit(97);
    }
}

/* The whole name of a file below the folder; NULL for others, and for what a database shares in memory alone. */
static const char *whole(const char *name, char *buffer) {
    if (name[0] != '/') {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here)) {
            return NULL;
        }
        if (snprintf(buffer, PATH_MAX, "%s/%s", here, name) >= PATH_MAX) {
            return NULL;
        }
        name = buffer;
    }
    size_t length = strlen(name), prefix = strlen(below);
    if (strncmp(name, below, prefix) != 0 || (name[prefix] != '/' && name[prefix] != 0)) {
        return NULL;
    }
    return length > 4 && strcmp(name + length - 4, "-shm") == 0 ? NULL : name;
}

static int opened(const char *name, int flags, mode_t mode) {
    char buffer[PATH_MAX];
    const char *path = whole(name, buffer);
    struct stat before, after;
    pthread_mutex_lock(&lock);
    int was_there = path && stat(path, &before) == 0;
    int fd = NEXT(open64)(name, flags, mode);
    int error = errno;
    if (fd >= 0 && fd < MOST) {
        kinds[fd] = 0;
        if (path && fstat(fd, &after) == 0) {
            kinds[fd] = S_ISDIR(after.st_mode) ? 2 : 1;
            files[fd] = after.st_ino;
            free(names[fd]);
            names[fd] = strdup(path);
            if (!was_there) {
                note('C', files[fd], 0, path, "", 0);
            } else if (flags & O_TRUNC) {
                note('T', files[fd], 0, path, "", 0);
            }
        }
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

#define OPEN(function)                                   \
    int function(const char *name, int flags, ...) {     \
        va_list rest;                                    \
        va_start(rest, flags);                           \
        mode_t mode = mode_of(flags, rest);              \
        va_end(rest);                                    \
        return opened(name, flags, mode);                \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(function)                                                                              \
    int function(int folder, const char *name, int flags, ...) {                                      \
        va_list rest;                                                                                 \
        va_start(rest, flags);                                                                        \
        mode_t mode = mode_of(flags, rest);                                                           \
        va_end(rest);                                                                                 \
        return folder == AT_FDCWD || name[0] == '/' ? opened(name, flags, mode)                       \
                                                    : NEXT(openat64)(folder, name, flags, mode);      \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < MOST) {
        kinds[fd] = 0;
    }
    int done = NEXT(close)(fd);
    pthread_mutex_unlock(&lock);
    return done;
}

static int is_file(int fd) { return fd >= 0 && fd < MOST && kinds[fd] == 1; }

#define PWRITE(function)                                                          \
    ssize_t function(int fd, const void *data, size_t length, off_t offset) {     \
        if (!is_file(fd)) {                                                       \
            return NEXT(function)(fd, data, length, offset);                      \
        }                                                                         \
        pthread_mutex_lock(&lock);                                                \
        ssize_t done = NEXT(function)(fd, data, length, offset);                  \
        int error = errno;                                                        \
        if (done > 0) {                                                           \
            note('W', files[fd], (uint64_t)offset, "", data, (size_t)done);       \
        }                                                                         \
        pthread_mutex_unlock(&lock);                                              \
        errno = error;                                                            \
        return done;                                                              \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

ssize_t write(int fd, const void *data, size_t length) {
    if (!is_file(fd)) {
        if (fd == 1) {
            pthread_mutex_lock(&lock);
            note('O', 0, 0, "", "", 0);
            pthread_mutex_unlock(&lock);
        }
        return NEXT(write)(fd, data, length);
    }
    pthread_mutex_lock(&lock);
    ssize_t done = NEXT(write)(fd, data, length);
    int error = errno;
    if (done > 0) {
        note('W', files[fd], (uint64_t)(lseek(fd, 0, SEEK_CUR) - done), "", data, (size_t)done);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!is_file(fd)) {
        return NEXT(writev)(fd, parts, count);
    }
    /* Part by part: whoever asked handles what is not written at once. */
    return count > 0 ? write(fd, parts[0].iov_base, parts[0].iov_len) : 0;
}

/* Copies within the kernel pass by unseen: whoever asked copies by hand instead. */
ssize_t copy_file_range(int from, off_t *at, int to, off_t *there, size_t length, unsigned flags) {
    (void)from, (void)at, (void)to, (void)there, (void)length, (void)flags;
    errno = ENOSYS;
    return -1;
}

#define SENDFILE(function)                                                        \
    ssize_t function(int to, int from, off_t *at, size_t length) {                \
        if (!is_file(to)) {                                                       \
            return NEXT(function)(to, from, at, length);                          \
        }                                                                         \
        errno = ENOSYS;                                                           \
        return -1;                                                                \
    }
extern ssize_t sendfile(int, int, off_t *, size_t);
extern ssize_t sendfile64(int, int, off_t *, size_t);
SENDFILE(sendfile)
SENDFILE(sendfile64)

#define TRUNCATE(function)                                                        \
    int function(int fd, off_t length) {                                          \
        pthread_mutex_lock(&lock);                                                \
        int done = NEXT(function)(fd, length);                                    \
        int error = errno;                                                        \
        if (done == 0 && is_file(fd)) {                                           \
            note('T', files[fd], (uint64_t)length, "", "", 0);                    \
        }                                                                         \
        pthread_mutex_unlock(&lock);                                              \
        errno = error;                                                            \
        return done;                                                              \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

#define SYNC(function)                                                            \
    int function(int fd) {                                                        \
        pthread_mutex_lock(&lock);                                                \
        int done = NEXT(function)(fd);                                            \
        int error = errno;                                                        \
        if (done == 0 && fd >= 0 && fd < MOST && kinds[fd] != 0) {                \
            note(kinds[fd] == 1 ? 'S' : 'D', files[fd], 0, names[fd], "", 0);     \
        }                                                                         \
        pthread_mutex_unlock(&lock);                                              \
        errno = error;                                                            \
        return done;                                                              \
    }
SYNC(fsync)
SYNC(fdatasync)

int rename(const char *from, const char *to) {
    char first[PATH_MAX], second[PATH_MAX];
    const char *old = whole(from, first), *new = whole(to, second);
    pthread_mutex_lock(&lock);
    int done = NEXT(rename)(from, to);
    int error = errno;
    if (done == 0 && old && new) {
        note('R', 0, 0, old, new, strlen(new));
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

static void linked(const char *from, const char *to) {
    char first[PATH_MAX], second[PATH_MAX];
    const char *old = whole(from, first), *new = whole(to, second);
    if (old && new) {
        note('L', 0, 0, old, new, strlen(new));
    }
}

int link(const char *from, const char *to) {
    pthread_mutex_lock(&lock);
    int done = NEXT(link)(from, to);
    int error = errno;
    if (done == 0) {
        linked(from, to);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int linkat(int first, const char *from, int second, const char *to, int flags) {
    pthread_mutex_lock(&lock);
    int done = NEXT(linkat)(first, from, second, to, flags);
    int error = errno;
    if (done == 0 && first == AT_FDCWD && second == AT_FDCWD) {
        linked(from, to);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int unlink(const char *name) {
    char buffer[PATH_MAX];
    const char *path = whole(name, buffer);
    pthread_mutex_lock(&lock);
    int done = NEXT(unlink)(name);
    int error = errno;
    if (done == 0 && path) {
        note('U', 0, 0, path, "", 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int mkdir(const char *name, mode_t mode) {
    char buffer[PATH_MAX];
    const char *path = whole(name, buffer);
    pthread_mutex_lock(&lock);
    int done = NEXT(mkdir)(name, mode);
    int error = errno;
    if (done == 0 && path) {
        note('M', 0, 0, path, "", 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
