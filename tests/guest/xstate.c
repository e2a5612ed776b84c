/* Preloaded into linux.uml, which hands PTRACE_SETREGSET(NT_X86_XSTATE) a fixed 2696 bytes.
 *
 * A CPU with AMX has an XSAVE area of 11008 bytes, and its kernel takes only the whole of it ("ptrace set fp regs failed,
 * errno = 14": the guest's init is killed). The buffer is padded with zeros: the rest is AMX tile state, never in use
 * there. On other CPUs calls pass through.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define NT_X86_XSTATE 0x202

long ptrace(enum __ptrace_request request, ...)
{
    static unsigned char buffer[65536];
    static size_t full;
    va_list arguments;
    va_start(arguments, request);
    int pid = va_arg(arguments, int);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);

    if (request == PTRACE_SETREGSET && (long)address == NT_X86_XSTATE) {
        struct iovec *given = data, padded = {buffer, sizeof buffer};
        if (!full) {
            if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, address, &padded) < 0)
                return -1;
            full = padded.iov_len;
        }
        if (given->iov_len < full) {
            memcpy(buffer, given->iov_base, given->iov_len);
            memset(buffer + given->iov_len, 0, full - given->iov_len);
            padded.iov_len = full;
            return syscall(SYS_ptrace, request, pid, address, &padded);
        }
    }
    if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
        long word;  /* the system call stores the word, the libc function returns it */
        if (syscall(SYS_ptrace, request, pid, address, &word) < 0)
            return -1;
        errno = 0;
        return word;
    }
    return syscall(SYS_ptrace, request, pid, address, data);
}
