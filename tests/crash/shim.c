/* Counts and records what a process does to the files below one folder, and kills it before the k-th such operation.
 *
 * Preloaded (LD_PRELOAD), it stands between a program and its C library; it does nothing until `crash_arm`. It
 * changes nothing but the moment of death. Each operation is appended to a trace: a header line of five fields between
 * tabs (operation, offset, length, path, second path), then as many bytes as the length says. The C library's own
 * buffered files are not seen; whoever uses the trace checks that it is whole.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static volatile int armed = 0;
static char folder[PATH_MAX];
static long count = 0, fatal = 0;
static int torn = 0, trace = -1;

static void record(const char *operation, long offset, const void *bytes, size_t length, const char *path,
                   const char *second) {
    char header[2 * PATH_MAX + 128];
    int size = snprintf(header, sizeof header, "%s\t%ld\t%zu\t%s\t%s\n", operation, offset, length, path, second);
    syscall(SYS_write, trace, header, size);
    for (size_t done = 0; done < length;) done += syscall(SYS_write, trace, (const char *)bytes + done, length - done);
}

static void die(const char *operation, const char *path) {
    record("killed", count, "", 0, path, operation);
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

static int is_inside(const char *path) {
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int path_of_name(const char *name, char *path) {
    if (!armed) return 0;
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
    } else {
        if (!getcwd(path, PATH_MAX)) return 0;
        size_t length = strlen(path);
        snprintf(path + length, PATH_MAX - length, "/%s", name);
    }
    return is_inside(path);
}

static int path_of_file(int file, char *path) {
    if (!armed || file == trace) return 0;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_inside(path);
}

/* From here to `end`, no other thread operates. Dies where the time has come, unless the write is to be torn. */
static int begin(const char *operation, const char *path, int tearable) {
    pthread_mutex_lock(&one_at_a_time);
    int is_due = ++count == fatal;
    if (is_due && !(tearable && torn)) die(operation, path);
    return is_due;
}

static void end(void) {
    int error = errno;
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void crash_arm(const char *path, long kill_at, int is_torn, int trace_file) {
    snprintf(folder, sizeof folder, "%s", path);
    count = 0, fatal = kill_at, torn = is_torn, trace = trace_file, armed = 1;
}

void crash_note(const char *text) {
    if (!armed) return;
    pthread_mutex_lock(&one_at_a_time);
    record("note", count, text, strlen(text), "", "");
    pthread_mutex_unlock(&one_at_a_time);
}

static ssize_t written(const char *operation, int file, const void *bytes, size_t size, off_t offset, int is_placed) {
    char path[PATH_MAX];
    if (!path_of_file(file, path))
        return is_placed ? syscall(SYS_pwrite64, file, bytes, size, offset) : syscall(SYS_write, file, bytes, size);
    int is_due = begin(operation, path, 1);
    struct stat status;
    if (!is_placed) {
        int is_appended = fcntl(file, F_GETFL) & O_APPEND;
        offset = is_appended && fstat(file, &status) == 0 ? status.st_size : lseek(file, 0, SEEK_CUR);
    }
    if (is_due) size /= 2;
    ssize_t result =
        is_placed ? syscall(SYS_pwrite64, file, bytes, size, offset) : syscall(SYS_write, file, bytes, size);
    if (result > 0) record("write", offset, bytes, result, path, "");
    if (is_due) die("torn write", path);
    end();
    return result;
}

ssize_t write(int file, const void *bytes, size_t size) { return written("write", file, bytes, size, 0, 0); }
ssize_t pwrite(int file, const void *bytes, size_t size, off_t at) { return written("write", file, bytes, size, at, 1); }
ssize_t pwrite64(int file, const void *bytes, size_t size, off_t at) { return written("write", file, bytes, size, at, 1); }

#define ON_FILE(name, call, offset)                          \
    {                                                        \
        char path[PATH_MAX];                                 \
        if (!path_of_file(file, path)) return call;          \
        begin(#name, path, 0);                               \
        int result = call;                                   \
        if (result == 0) record(#name, offset, "", 0, path, ""); \
        end();                                               \
        return result;                                       \
    }

int fsync(int file) ON_FILE(fsync, syscall(SYS_fsync, file), 0)
int fdatasync(int file) ON_FILE(fsync, syscall(SYS_fdatasync, file), 0)
int ftruncate(int file, off_t size) ON_FILE(truncate, syscall(SYS_ftruncate, file, size), size)
int ftruncate64(int file, off_t size) ON_FILE(truncate, syscall(SYS_ftruncate, file, size), size)

#define ON_NAME(operation, name, call)                             \
    {                                                              \
        char path[PATH_MAX];                                       \
        if (!path_of_name(name, path)) return call;                \
        begin(operation, path, 0);                                 \
        int result = call;                                         \
        if (result == 0) record(operation, 0, "", 0, path, "");    \
        end();                                                     \
        return result;                                             \
    }

int unlink(const char *name) ON_NAME("unlink", name, REAL(unlink)(name))
int rmdir(const char *name) ON_NAME("rmdir", name, REAL(rmdir)(name))
int mkdir(const char *name, mode_t mode) ON_NAME("mkdir", name, REAL(mkdir)(name, mode))

int rename(const char *from, const char *to) {
    char path[PATH_MAX], second[PATH_MAX];
    if (!path_of_name(from, path) || !path_of_name(to, second)) return REAL(rename)(from, to);
    begin("rename", path, 0);
    int result = REAL(rename)(from, to);
    if (result == 0) record("rename", 0, "", 0, path, second);
    end();
    return result;
}

static int opened(const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    struct stat status;
    if (!(flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE || !path_of_name(name, path))
        return REAL(open64)(name, flags, mode);
    int is_there = stat(path, &status) == 0;
    if (is_there && !((flags & O_TRUNC) && status.st_size > 0)) return REAL(open64)(name, flags, mode);
    const char *operation = is_there ? "truncate" : "create";
    begin(operation, path, 0);
    int result = REAL(open64)(name, flags, mode);
    if (result >= 0) record(operation, 0, "", 0, path, "");
    end();
    return result;
}

#define MODE                                    \
    va_list rest;                               \
    va_start(rest, flags);                      \
    mode_t mode = va_arg(rest, mode_t);         \
    va_end(rest);

int open(const char *name, int flags, ...) {
    MODE return opened(name, flags, mode);
}
int open64(const char *name, int flags, ...) {
    MODE return opened(name, flags, mode);
}
