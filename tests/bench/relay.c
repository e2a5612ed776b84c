/* What the kernel alone lets a core relay: relay WAY IN OUT SECONDS, for bench_relay.py.
 *
 * Passes frames from one device to another and does nothing else: no engine that reads and sends frames the same way
 * can be faster. WAY is `recvmmsg` (packet sockets, recvmmsg(2) and sendmmsg(2)) or `xdp` (AF_XDP in copy mode on both
 * devices, with one umem; veth has no other mode). Both bypass qdiscs. Prints how many frames it has sent, and its
 * processor time, s.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, CHUNK = 2048, CHUNKS = 4096 };
#define MUST(call) ({ long got = (long)(call); if (got == -1) err(1, #call); got; })
#define LOAD(at) __atomic_load_n(at, __ATOMIC_ACQUIRE)
#define STORE(at, value) __atomic_store_n(at, value, __ATOMIC_RELEASE)

static double end;
static long sent;

static double now(clockid_t clock) { struct timespec t; clock_gettime(clock, &t); return t.tv_sec + t.tv_nsec / 1e9; }

static int going(void) { return now(CLOCK_MONOTONIC) < end; }

static void rest(int fd) /* until something arrives, and 50 us more for others to gather */
{
    poll(&(struct pollfd){fd, POLLIN, 0}, 1, 100);
    nanosleep(&(struct timespec){0, 50000}, NULL);
}

static int packet_socket(int device, int option, int protocol)
{
    int fd = MUST(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0)), one = 1, size = 64 << 20;
    MUST(setsockopt(fd, SOL_PACKET, option, &one, sizeof one));
    setsockopt(fd, SOL_SOCKET, protocol ? SO_RCVBUFFORCE : SO_SNDBUFFORCE, &size, sizeof size);
    struct sockaddr_ll at = {AF_PACKET, htons(protocol), device};
    MUST(bind(fd, (struct sockaddr *)&at, sizeof at));
    return fd;
}

static void by_recvmmsg(int in, int out)
{
    static char frames[BATCH][CHUNK];
    struct iovec rooms[BATCH];
    struct mmsghdr messages[BATCH] = {0};
    for (int i = 0; i < BATCH; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = rooms + i, .msg_iovlen = 1};
    while (going()) {
        for (int i = 0; i < BATCH; i++)
            rooms[i] = (struct iovec){frames[i], CHUNK};
        int count = recvmmsg(in, messages, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < count; i++)
            rooms[i].iov_len = messages[i].msg_len;
        for (int done = 0, got; done < count; done += got > 0 ? got : 1)
            sent += (got = sendmmsg(out, messages + done, count - done, 0)) > 0 ? got : 0;
        if (count < BATCH)
            rest(in);
    }
}

struct ring { unsigned *producer, *consumer; void *entries; };

static struct ring xdp_ring(int fd, int option, off_t page, size_t member, size_t entry)
{
    struct xdp_mmap_offsets all;
    MUST(setsockopt(fd, SOL_XDP, option, &(int){CHUNKS}, sizeof(int)));
    MUST(getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &all, &(socklen_t){sizeof all}));
    struct xdp_ring_offset at = *(struct xdp_ring_offset *)((char *)&all + member);
    char *map = (char *)MUST(mmap(NULL, at.desc + CHUNKS * entry, PROT_READ | PROT_WRITE, MAP_SHARED, fd, page));
    return (struct ring){(void *)(map + at.producer), (void *)(map + at.consumer), map + at.desc};
}
#define XDP_RING(fd, option, page, member, entry) \
    xdp_ring(fd, option, page, offsetof(struct xdp_mmap_offsets, member), sizeof(entry))

static long bpf(int command, union bpf_attr attributes)
{
    return syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

static void to_socket(int device, int xdp) /* let all frames of a device's first queue go to an AF_XDP socket */
{
    int map = MUST(bpf(BPF_MAP_CREATE, (union bpf_attr){.map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4,
                                                        .max_entries = 1}));
    MUST(bpf(BPF_MAP_UPDATE_ELEM, (union bpf_attr){.map_fd = map, .key = (long)&(int){0}, .value = (long)&xdp}));
    struct bpf_insn program[] = {{BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map}, {0},
        {BPF_ALU64 | BPF_MOV, 2, 0, 0, 0}, {BPF_ALU64 | BPF_MOV, 3, 0, 0, XDP_PASS},
        {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    int loaded = MUST(bpf(BPF_PROG_LOAD, (union bpf_attr){.prog_type = BPF_PROG_TYPE_XDP, .insns = (long)program,
                                                          .insn_cnt = 6, .license = (long)"GPL"}));
    MUST(bpf(BPF_LINK_CREATE, (union bpf_attr){.link_create = {loaded, {device}, BPF_XDP}}));
}

static void by_xdp(int from, int to)
{
    struct xdp_umem_reg memory = {.len = (size_t)CHUNK * CHUNKS, .chunk_size = CHUNK};
    memory.addr = MUST(mmap(NULL, memory.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    int in = MUST(socket(AF_XDP, SOCK_RAW, 0)), out = MUST(socket(AF_XDP, SOCK_RAW, 0));
    MUST(setsockopt(in, SOL_XDP, XDP_UMEM_REG, &memory, sizeof memory));
    struct ring fill = XDP_RING(in, XDP_UMEM_FILL_RING, XDP_UMEM_PGOFF_FILL_RING, fr, __u64);
    XDP_RING(in, XDP_UMEM_COMPLETION_RING, XDP_UMEM_PGOFF_COMPLETION_RING, cr, __u64);
    struct ring read = XDP_RING(in, XDP_RX_RING, XDP_PGOFF_RX_RING, rx, struct xdp_desc);
    XDP_RING(out, XDP_UMEM_FILL_RING, XDP_UMEM_PGOFF_FILL_RING, fr, __u64);
    struct ring free = XDP_RING(out, XDP_UMEM_COMPLETION_RING, XDP_UMEM_PGOFF_COMPLETION_RING, cr, __u64);
    struct ring send = XDP_RING(out, XDP_TX_RING, XDP_PGOFF_TX_RING, tx, struct xdp_desc);
    struct sockaddr_xdp source = {AF_XDP, XDP_COPY, from}, target = {AF_XDP, XDP_SHARED_UMEM, to, 0, in};
    MUST(bind(in, (struct sockaddr *)&source, sizeof source));
    MUST(bind(out, (struct sockaddr *)&target, sizeof target));
    to_socket(from, in);
    unsigned filled = 0, got = 0, freed = 0;
    for (; filled < CHUNKS; filled++)
        ((__u64 *)fill.entries)[filled] = (__u64)filled * CHUNK;
    STORE(fill.producer, filled);
    while (going()) {
        for (unsigned last = LOAD(free.producer); freed != last; freed++)
            ((__u64 *)fill.entries)[filled++ % CHUNKS] = ((__u64 *)free.entries)[freed % CHUNKS];
        STORE(free.consumer, freed);
        STORE(fill.producer, filled);
        unsigned first = got, last = LOAD(read.producer);
        for (; got != last; got++)
            ((struct xdp_desc *)send.entries)[got % CHUNKS] = ((struct xdp_desc *)read.entries)[got % CHUNKS];
        STORE(read.consumer, got);
        STORE(send.producer, got);
        for (unsigned kicked = first; kicked < last; kicked += 32) /* as many as a call sends */
            sendto(out, NULL, 0, MSG_DONTWAIT, NULL, 0);
        sent = freed;
        if (first == last)
            rest(in);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5)
        errx(2, "usage: relay recvmmsg|xdp IN OUT SECONDS");
    end = now(CLOCK_MONOTONIC) + atof(argv[4]);
    int from = MUST(if_nametoindex(argv[2])), to = MUST(if_nametoindex(argv[3]));
    if (!strcmp(argv[1], "xdp"))
        by_xdp(from, to);
    else
        by_recvmmsg(packet_socket(from, PACKET_IGNORE_OUTGOING, ETH_P_ALL), packet_socket(to, PACKET_QDISC_BYPASS, 0));
    printf("%ld %.3f\n", sent, now(CLOCK_PROCESS_CPUTIME_ID));
}
