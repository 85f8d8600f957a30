#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether every call of the C library that the program makes, and that may fail, is made to fail.

    check_calls.py PROGRAM CALL...      the calls that go through fail.c

Prints TAP. A call that is new to the program belongs into nth_calls in meson.build and into fail.c,
or, when its failure means nothing, into the list below.
"""

import subprocess
import sys

# Calls that cannot fail, whose result is a fact about text or the process, or whose failure the
# program never sees.
SAFE = set("""
    __ctype_b_loc __cxa_finalize __errno_location __explicit_bzero_chk __libc_start_main
    __memcpy_chk __memmove_chk __memset_chk __stack_chk_fail __strcpy_chk _exit exit abort
    explicit_bzero access clock_gettime dirname basename fnmatch free freeaddrinfo gai_strerror
    getenv geteuid getuid getpid getppid isatty kill memchr memcmp memcpy memmem memmove memrchr
    memset prctl qsort bsearch readdir64 sigaddset sigfillset sigemptyset sigismember
    signal sigpending stderr stdin stdout strchr strrchr strchrnul strcmp strncmp strcasecmp
    strncasecmp strcspn strspn strerror strerrorname_np strlen strnlen strstr strcasestr strtod
    strtoul strtoull strtol strtoll sysconf umask getrlimit64 closedir shutdown pthread_join
    pthread_self sigaction sigprocmask pthread_sigmask execl execv execvp chdir dup2 setsid setgid
    setuid initgroups getpwnam nftw64 remove gethostname syscall trunc nanosleep uname isnan
    pthread_mutex_init pthread_mutex_lock pthread_mutex_unlock pthread_mutex_destroy
    pthread_cond_init pthread_cond_wait pthread_cond_timedwait pthread_cond_signal
    pthread_cond_broadcast pthread_cond_destroy pthread_condattr_init pthread_condattr_setclock
    pthread_condattr_destroy pthread_detach
""".split())
# Standard output and error: what fails there is tested with a full device (tests/e2e).
STREAMS = set("""
    __fprintf_chk __printf_chk __vfprintf_chk __snprintf_chk __vsnprintf_chk fprintf printf snprintf
    vsnprintf vfprintf fputc fputs putc putchar puts fwrite fflush ferror fgets getc getline fread
    fileno setvbuf open_memstream
""".split())


def imports(program):
    lines = subprocess.run(['nm', '-D', '--undefined-only', program], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.splitlines()
    names = (line.split()[-1] for line in lines)
    return sorted(name.split('@')[0] for name in names if '@GLIBC' in name)


def main():
    program, failing = sys.argv[1], set(sys.argv[2:])
    missing = [name for name in imports(program) if name not in failing | SAFE | STREAMS]
    print('1..1')
    print('not ok 1' if missing else 'ok 1', '- calls: every call that may fail is made to fail')
    for name in missing:
        print('#  ', name, 'is neither in nth_calls nor known to be safe')
    return 1 if missing else 0


if __name__ == '__main__':
    sys.exit(main())
