/* A layer under the files of one directory, preloaded into a server under test (LD_PRELOAD).
 *
 * It keeps apart what a program has written and what it has synced, as a disk's cache does, and on demand pulls the
 * power: un-synced bytes are lost from a random point on, or in the middle, and files that were made, renamed or removed
 * are as they were, unless their directory was synced. It also makes calls fail or wait, and shifts the wall clock.
 *
 * PROOF_DIRECTORY is the directory, PROOF_SOCKET the Unix socket on which commands come, one a connection:
 *     power SEED          pull the power and end the process; what was lost is written to PROOF_SOCKET.lost
 *     fail CALL ERRNO N   the Nth next call of CALL (sync, write, read, open) fails, and all after it; N 0: none
 *     delay CALL MICROS   every such call takes this much longer
 *     clock SECONDS       the wall clock is this many seconds off
 * The rules of what may be lost are those of POSIX, which are stricter than any file system's: a new file's name is only
 * there for certain once its directory is synced. What goes around libc (mmap with MAP_SHARED for writing, io_uring) ends
 * the process with a message rather than being believed durable.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FD = 65536, MAX_FILES = 16384, MAX_PENDING = 16384, PAGE = 4096, SECTOR = 512 };
enum { CALL_SYNC, CALL_WRITE, CALL_READ, CALL_OPEN, CALLS };
static const char *const CALL_NAMES[CALLS] = {"sync", "write", "read", "open"};

/* Bytes that an un-synced write or truncation replaced. */
struct undo {
    struct undo *before;
    unsigned long number;
    off_t at;
    size_t length;
    char bytes[];
};

/* A file that was opened for writing. */
struct file {
    dev_t dev;
    ino_t ino;
    int keep;         /* a descriptor of our own */
    off_t durable;    /* how long the file is for certain */
    struct undo *undo; /* newest first */
};

enum kind { MADE, RENAMED, REMOVED };

/* A change of a directory that is not synced. */
struct pending {
    enum kind kind;
    char directory[PATH_MAX];
    char path[PATH_MAX];
    char other[PATH_MAX]; /* RENAMED: where from; */
    char saved[PATH_MAX]; /* a link to what was replaced or removed, or empty */
};

static pthread_rwlock_t power = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t book = PTHREAD_MUTEX_INITIALIZER;
static struct file *files[MAX_FILES];
static int file_count;
static struct file *by_fd[MAX_FD];
static char *directory_by_fd[MAX_FD];
static struct pending *pendings[MAX_PENDING];
static int pending_count;
static unsigned long undo_number;
static unsigned long saved_number;
static char root[PATH_MAX], shadow[PATH_MAX], socket_path[PATH_MAX];
static size_t root_length;
static atomic_int fail_errno[CALLS];
static atomic_long fail_after[CALLS];
static atomic_int delay_micros[CALLS];
static atomic_long clock_offset;

#define REAL(name) __typeof__(&name) real_##name
static REAL(open);
static REAL(openat);
static REAL(close);
static REAL(write);
static REAL(pwrite);
static REAL(writev);
static REAL(pwritev);
static REAL(read);
static REAL(pread);
static REAL(fsync);
static REAL(fdatasync);
static REAL(ftruncate);
static REAL(rename);
static REAL(unlink);
static REAL(link);
static REAL(mmap);
static int (*real_clock_gettime)(clockid_t, struct timespec *);

static void give_up(const char *why, const char *what)
{
    dprintf(2, "proof: %s: %s\n", why, what);
    abort();
}

static void find(void)
{
    if (real_open) return;
#define FIND(name) real_##name = dlsym(RTLD_NEXT, #name)
    FIND(openat); FIND(close); FIND(write); FIND(pwrite); FIND(writev); FIND(pwritev); FIND(read); FIND(pread);
    FIND(fsync); FIND(fdatasync); FIND(ftruncate); FIND(rename); FIND(unlink); FIND(link); FIND(mmap);
    FIND(clock_gettime); FIND(open);
}

/* The path as one from the root of the file system, if it is in the directory. */
static int ours(const char *path, char *whole)
{
    if (!root_length || !path) return 0;
    if (path[0] != '/') return 0;
    if (strncmp(path, root, root_length) || (path[root_length] != '/' && path[root_length])) return 0;
    snprintf(whole, PATH_MAX, "%s", path);
    for (size_t n = strlen(whole); n > 1 && whole[n - 1] == '/'; n--) whole[n - 1] = 0;
    return 1;
}

static void parent_of(const char *path, char *parent)
{
    snprintf(parent, PATH_MAX, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash) *slash = 0;
}

/* Whether this call is to fail; waits, if it is to be slow. */
static int fails(int call)
{
    int micros = atomic_load(&delay_micros[call]);
    if (micros) usleep(micros);
    int error = atomic_load(&fail_errno[call]);
    if (!error || atomic_fetch_sub(&fail_after[call], 1) > 1) return 0;
    errno = error;
    return 1;
}

static struct pending *note(enum kind kind, const char *path)
{
    if (pending_count == MAX_PENDING) give_up("too many changes of directories", path);
    struct pending *one = calloc(1, sizeof *one);
    one->kind = kind;
    snprintf(one->path, PATH_MAX, "%s", path);
    parent_of(path, one->directory);
    pendings[pending_count++] = one;
    return one;
}

/* Keeps what is at a path, whatever becomes of the path. */
static void save(struct pending *one, const char *path)
{
    snprintf(one->saved, PATH_MAX, "%.3000s/%lu", shadow, saved_number++);
    if (real_link(path, one->saved)) one->saved[0] = 0;
}

static void track(int fd, const char *path, int flags, int existed)
{
    struct stat stat;
    if (fd < 0 || fd >= MAX_FD || fstat(fd, &stat)) return;
    if (S_ISDIR(stat.st_mode)) {
        directory_by_fd[fd] = strdup(path);
        return;
    }
    if (!S_ISREG(stat.st_mode) || (flags & O_ACCMODE) == O_RDONLY) return;
    struct file *file = NULL;
    for (int n = 0; n < file_count; n++)
        if (files[n]->ino == stat.st_ino && files[n]->dev == stat.st_dev) file = files[n];
    if (!file) {
        if (file_count == MAX_FILES) give_up("too many files", path);
        file = calloc(1, sizeof *file);
        file->dev = stat.st_dev;
        file->ino = stat.st_ino;
        file->keep = real_open(path, O_RDWR | O_CLOEXEC);
        file->durable = existed ? stat.st_size : 0;
        files[file_count++] = file;
    }
    by_fd[fd] = file;
    if (!existed) note(MADE, path);
}

static void remember(struct file *file, off_t at, off_t end)
{
    if (end > file->durable) end = file->durable;
    if (at >= end) return;
    struct undo *undo = malloc(sizeof *undo + (size_t)(end - at));
    undo->before = file->undo;
    undo->number = undo_number++;
    undo->at = at;
    undo->length = (size_t)(end - at);
    if (real_pread(file->keep, undo->bytes, undo->length, at) < 0) undo->length = 0;
    file->undo = undo;
}

static int opened(int directory, const char *path, int flags, mode_t mode)
{
    find();
    char whole[PATH_MAX];
    if (directory != AT_FDCWD || !ours(path, whole)) return real_openat(directory, path, flags, mode);
    if (fails(CALL_OPEN)) return -1;
    pthread_rwlock_rdlock(&power);
    pthread_mutex_lock(&book);
    struct stat stat_before;
    int existed = stat(whole, &stat_before) == 0;
    if (existed && (flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY) {
        int fd = real_open(whole, O_RDWR | O_CLOEXEC);
        track(fd, whole, O_RDWR, 1);
        if (fd >= 0) {
            remember(by_fd[fd], 0, stat_before.st_size);
            by_fd[fd] = NULL;
            real_close(fd);
        }
    }
    int fd = real_openat(directory, path, flags, mode);
    int error = errno;
    track(fd, whole, flags, existed);
    pthread_mutex_unlock(&book);
    pthread_rwlock_unlock(&power);
    errno = error;
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }

int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int directory, const char *path, int flags, ...) { MODE(flags) return opened(directory, path, flags, mode); }
int openat64(int directory, const char *path, int flags, ...) { MODE(flags) return opened(directory, path, flags | O_LARGEFILE, mode); }
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd)
{
    find();
    if (fd >= 0 && fd < MAX_FD && (by_fd[fd] || directory_by_fd[fd])) {
        pthread_mutex_lock(&book);
        by_fd[fd] = NULL;
        free(directory_by_fd[fd]);
        directory_by_fd[fd] = NULL;
        pthread_mutex_unlock(&book);
    }
    return real_close(fd);
}

static struct file *file_of(int fd)
{
    return fd >= 0 && fd < MAX_FD ? by_fd[fd] : NULL;
}

/* Around a write of this many bytes at this place, or at the end of what is there. */
#define WRITING(fd, at, length, call) \
    find(); \
    struct file *file = file_of(fd); \
    if (!file) return call; \
    if (fails(CALL_WRITE)) return -1; \
    pthread_rwlock_rdlock(&power); \
    pthread_mutex_lock(&book); \
    off_t from = (at); \
    if (from < 0) { \
        struct stat stat; \
        from = fcntl(fd, F_GETFL) & O_APPEND ? (fstat(fd, &stat) ? 0 : stat.st_size) : lseek(fd, 0, SEEK_CUR); \
    } \
    remember(file, from, from + (off_t)(length)); \
    ssize_t result = call; \
    int error = errno; \
    pthread_mutex_unlock(&book); \
    pthread_rwlock_unlock(&power); \
    errno = error; \
    return result;

static size_t total(const struct iovec *parts, int count)
{
    size_t bytes = 0;
    for (int n = 0; n < count; n++) bytes += parts[n].iov_len;
    return bytes;
}

ssize_t write(int fd, const void *bytes, size_t length) { WRITING(fd, -1, length, real_write(fd, bytes, length)) }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { WRITING(fd, at, length, real_pwrite(fd, bytes, length, at)) }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { WRITING(fd, at, length, real_pwrite(fd, bytes, length, at)) }
ssize_t writev(int fd, const struct iovec *parts, int count) { WRITING(fd, -1, total(parts, count), real_writev(fd, parts, count)) }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { WRITING(fd, at, total(parts, count), real_pwritev(fd, parts, count, at)) }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { WRITING(fd, at, total(parts, count), real_pwritev(fd, parts, count, at)) }

/* The fast ways to copy: refused, so that callers write. */
ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags)
{
    (void)from; (void)from_at; (void)to; (void)to_at; (void)length; (void)flags;
    errno = ENOSYS;
    return -1;
}

static int truncated(int fd, off_t length)
{
    find();
    struct file *file = file_of(fd);
    if (!file) return real_ftruncate(fd, length);
    pthread_rwlock_rdlock(&power);
    pthread_mutex_lock(&book);
    remember(file, length, file->durable);
    int result = real_ftruncate(fd, length);
    int error = errno;
    pthread_mutex_unlock(&book);
    pthread_rwlock_unlock(&power);
    errno = error;
    return result;
}

int ftruncate(int fd, off_t length) { return truncated(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncated(fd, length); }

static int synced(int fd, int (*real)(int))
{
    struct file *file = file_of(fd);
    const char *directory = fd >= 0 && fd < MAX_FD ? directory_by_fd[fd] : NULL;
    if (!file && !directory) return real(fd);
    if (fails(CALL_SYNC)) return -1;
    pthread_rwlock_rdlock(&power);
    pthread_mutex_lock(&book);
    struct stat stat;
    off_t size = fstat(fd, &stat) ? 0 : stat.st_size;
    unsigned long number = undo_number;
    int count = pending_count;
    pthread_mutex_unlock(&book);
    int result = real(fd);
    int error = errno;
    pthread_mutex_lock(&book);
    if (!result && file) {
        file->durable = size;
        struct undo **one = &file->undo;
        while (*one) {
            if ((*one)->number < number) {
                struct undo *gone = *one;
                *one = gone->before;
                free(gone);
            } else {
                one = &(*one)->before;
            }
        }
    }
    if (!result && directory) {
        int kept = 0;
        for (int n = 0; n < pending_count; n++) {
            if (n < count && !strcmp(pendings[n]->directory, directory)) {
                if (pendings[n]->saved[0]) real_unlink(pendings[n]->saved);
                free(pendings[n]);
            } else {
                pendings[kept++] = pendings[n];
            }
        }
        pending_count = kept;
    }
    pthread_mutex_unlock(&book);
    pthread_rwlock_unlock(&power);
    errno = error;
    return result;
}

int fsync(int fd) { find(); return synced(fd, real_fsync); }
int fdatasync(int fd) { find(); return synced(fd, real_fdatasync); }

int rename(const char *from, const char *to)
{
    find();
    char whole_from[PATH_MAX], whole_to[PATH_MAX];
    if (!ours(from, whole_from) || !ours(to, whole_to)) return real_rename(from, to);
    pthread_rwlock_rdlock(&power);
    pthread_mutex_lock(&book);
    struct stat stat_before;
    struct pending *one = note(RENAMED, whole_to);
    snprintf(one->other, PATH_MAX, "%s", whole_from);
    if (!stat(whole_to, &stat_before) && S_ISREG(stat_before.st_mode)) save(one, whole_to);
    int result = real_rename(from, to);
    int error = errno;
    if (result) {
        free(one);
        pending_count--;
    }
    pthread_mutex_unlock(&book);
    pthread_rwlock_unlock(&power);
    errno = error;
    return result;
}

static int removed(const char *path)
{
    find();
    char whole[PATH_MAX];
    if (!ours(path, whole)) return real_unlink(path);
    pthread_rwlock_rdlock(&power);
    pthread_mutex_lock(&book);
    struct pending *one = note(REMOVED, whole);
    save(one, whole);
    int result = real_unlink(path);
    int error = errno;
    if (result) {
        if (one->saved[0]) real_unlink(one->saved);
        free(one);
        pending_count--;
    }
    pthread_mutex_unlock(&book);
    pthread_rwlock_unlock(&power);
    errno = error;
    return result;
}

int unlink(const char *path) { return removed(path); }

int link(const char *from, const char *to)
{
    find();
    char whole[PATH_MAX];
    int result = real_link(from, to);
    if (!result && ours(to, whole)) {
        pthread_mutex_lock(&book);
        note(MADE, whole);
        pthread_mutex_unlock(&book);
    }
    return result;
}

ssize_t read(int fd, void *bytes, size_t length)
{
    find();
    if ((file_of(fd) || atomic_load(&fail_errno[CALL_READ]) || atomic_load(&delay_micros[CALL_READ])) && root_length) {
        struct stat stat;
        if (!fstat(fd, &stat) && S_ISREG(stat.st_mode) && fails(CALL_READ)) return -1;
    }
    return real_read(fd, bytes, length);
}

static ssize_t read_at(int fd, void *bytes, size_t length, off_t at)
{
    find();
    if (fails(CALL_READ)) return -1;
    return real_pread(fd, bytes, length, at);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t at) { return read_at(fd, bytes, length, at); }
ssize_t pread64(int fd, void *bytes, size_t length, off64_t at) { return read_at(fd, bytes, length, at); }

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t at)
{
    if (!real_mmap) real_mmap = dlsym(RTLD_NEXT, "mmap");
    if (file_of(fd) && (flags & MAP_SHARED) && (protection & PROT_WRITE)) give_up("writing through mmap is not followed", "mmap");
    return real_mmap(address, length, protection, flags, fd, at);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    find();
    int result = real_clock_gettime(clock, time);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += atomic_load(&clock_offset);
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    (void)zone;
    struct timespec time;
    int result = clock_gettime(CLOCK_REALTIME, &time);
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return result;
}

time_t time(time_t *where)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}

static unsigned long random_state;

static unsigned long draw(unsigned long below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return below ? random_state % below : 0;
}

/* Takes back what a file was not synced with. Returns how many bytes are lost. */
static unsigned long lose(struct file *file)
{
    struct stat stat;
    if (file->keep < 0 || fstat(file->keep, &stat)) return 0;
    unsigned long lost = 0;
    /* Overwritten bytes: each such write is lost or not. */
    for (struct undo *one = file->undo; one; one = one->before) {
        if (draw(2)) {
            if (real_pwrite(file->keep, one->bytes, one->length, one->at) < 0) give_up("cannot undo", "pwrite");
            lost += one->length;
        }
    }
    off_t tail = stat.st_size - file->durable;
    if (tail <= 0) return lost;
    off_t kept = 0;
    switch (draw(4)) {
    case 0: /* nothing of it came to the disk */ break;
    case 1: /* it came up to somewhere, whole sectors */ kept = (off_t)draw((unsigned long)tail + 1) / SECTOR * SECTOR; break;
    case 2: /* up to any byte */ kept = (off_t)draw((unsigned long)tail + 1); break;
    default: /* all of the length, with some pages never written */
        kept = tail;
        for (off_t at = file->durable; at < stat.st_size; at = (at / PAGE + 1) * PAGE) {
            off_t end = (at / PAGE + 1) * PAGE;
            if (end > stat.st_size) end = stat.st_size;
            static const char zeros[PAGE];
            if (draw(2)) {
                if (real_pwrite(file->keep, zeros, (size_t)(end - at), at) < 0) give_up("cannot tear", "pwrite");
                lost += (unsigned long)(end - at);
            }
        }
    }
    if (real_ftruncate(file->keep, file->durable + kept)) give_up("cannot cut", "ftruncate");
    return lost + (unsigned long)(tail - kept);
}

static void pull_the_power(unsigned long seed)
{
    pthread_rwlock_wrlock(&power);
    random_state = seed | 1;
    for (int n = 0; n < 8; n++) draw(2);
    unsigned long lost = 0;
    for (int n = 0; n < file_count; n++) lost += lose(files[n]);
    /* Changes of directories come to the disk in their order: the last ones are lost. */
    int kept = pending_count ? (int)draw((unsigned long)pending_count + 1) : 0;
    unsigned long undone = (unsigned long)(pending_count - kept);
    for (int n = pending_count - 1; n >= kept; n--) {
        struct pending *one = pendings[n];
        if (one->kind == MADE) real_unlink(one->path);
        if (one->kind == RENAMED) real_rename(one->path, one->other);
        if (one->saved[0]) real_link(one->saved, one->path);
    }
    char told[PATH_MAX + 8];
    snprintf(told, sizeof told, "%s.lost", socket_path);
    int fd = real_open(told, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    dprintf(fd, "%lu %lu\n", lost, undone);
    _exit(137);
}

static void obey(char *command)
{
    char call[16];
    long one = 0, two = 0;
    if (sscanf(command, "power %ld", &one) == 1) pull_the_power((unsigned long)one);
    else if (sscanf(command, "clock %ld", &one) == 1) atomic_store(&clock_offset, one);
    for (int n = 0; n < CALLS; n++) {
        if (sscanf(command, "fail %15s %ld %ld", call, &one, &two) == 3 && !strcmp(call, CALL_NAMES[n])) {
            atomic_store(&fail_after[n], two);
            atomic_store(&fail_errno[n], two ? (int)one : 0);
        }
        if (sscanf(command, "delay %15s %ld", call, &one) == 2 && !strcmp(call, CALL_NAMES[n])) atomic_store(&delay_micros[n], (int)one);
    }
}

static void *listen_for_commands(void *listening)
{
    for (;;) {
        int from = accept((int)(long)listening, NULL, NULL);
        if (from < 0) continue;
        char command[256] = {0};
        if (real_read(from, command, sizeof command - 1) > 0) obey(command);
        if (real_write(from, "done\n", 5) < 0) { /* nobody waits for it */ }
        real_close(from);
    }
    return NULL;
}

__attribute__((constructor)) static void begin(void)
{
    find();
    const char *directory = getenv("PROOF_DIRECTORY"), *path = getenv("PROOF_SOCKET");
    if (!directory || !path) return;
    snprintf(root, sizeof root, "%s", directory);
    snprintf(socket_path, sizeof socket_path, "%s", path);
    snprintf(shadow, sizeof shadow, "%.4000s.shadow", path);
    mkdir(shadow, 0700);
    root_length = strlen(root);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    real_unlink(path);
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listening, (struct sockaddr *)&address, sizeof address) || listen(listening, 8)) give_up("no socket", path);
    pthread_t thread;
    pthread_create(&thread, NULL, listen_for_commands, (void *)(long)listening);
    pthread_detach(thread);
}
