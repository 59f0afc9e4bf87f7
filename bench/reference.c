/* The reference reader in plain C: reads, splits, counts in one hash table, nothing else.
 *
 * It says how fast the machine can do that whatever language asks: src/reference.rs, beside which mag is measured, must
 * keep up with it. Like that one it prints its port, serves its connections one after the other, and prints how many
 * messages of how many texts came. */

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024 };

struct slot {
    uint64_t hash;
    uint64_t count;
    char *text;
    size_t length;
};

static struct slot *slots;
static size_t capacity = 1024, used;
static uint64_t total, seed[2];

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Both halves of the product: what wyhash and foldhash are made of. */
static inline uint64_t fold(uint64_t a, uint64_t b) {
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t word(const char *at) {
    uint64_t w;
    memcpy(&w, at, sizeof w);
    return w;
}

static inline uint64_t hash_of(const char *text, size_t length) {
    uint64_t a = seed[0] ^ length, b = seed[1];
    size_t left = length;
    while (left >= 32) {
        a = fold(word(text) ^ a, word(text + 8) ^ seed[1]);
        b = fold(word(text + 16) ^ b, word(text + 24) ^ seed[0]);
        text += 32;
        left -= 32;
    }
    while (left >= 8) {
        a = fold(word(text) ^ a, seed[1]);
        text += 8;
        left -= 8;
    }
    uint64_t tail = 0;
    memcpy(&tail, text, left);
    return fold(a ^ tail, b ^ seed[1]);
}

static void grow(void) {
    size_t old_capacity = capacity;
    struct slot *old = slots;
    capacity *= 2;
    slots = calloc(capacity, sizeof *slots);
    if (!slots) die("calloc");
    for (size_t i = 0; i < old_capacity; i++) {
        if (!old[i].text) continue;
        size_t at = old[i].hash & (capacity - 1);
        while (slots[at].text) at = (at + 1) & (capacity - 1);
        slots[at] = old[i];
    }
    free(old);
}

static inline void add(const char *text, size_t length) {
    uint64_t hash = hash_of(text, length);
    size_t at = hash & (capacity - 1);
    total++;
    for (; slots[at].text; at = (at + 1) & (capacity - 1)) {
        struct slot *slot = &slots[at];
        if (slot->hash == hash && slot->length == length && memcmp(slot->text, text, length) == 0) {
            slot->count++;
            return;
        }
    }
    char *copy = malloc(length ? length : 1);
    if (!copy) die("malloc");
    memcpy(copy, text, length);
    slots[at] = (struct slot){hash, 1, copy, length};
    if (++used * 2 > capacity) grow();
}

/* Counts every whole message; says where the rest begins. An NDJSON line counts as it stands, a classic text without
 * its command. */
static char *read_messages(char *at, char *end) {
    for (;;) {
        char *text = at;
        if (end - at >= 7 && memcmp(at, "STRING\n", 7) == 0) text += 7;
        char *line_end = memchr(text, '\n', (size_t)(end - text));
        if (!line_end) return at;
        add(text, (size_t)(line_end - text));
        at = line_end + 1;
    }
}

int main(int argc, char **argv) {
    long connections = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
    slots = calloc(capacity, sizeof *slots);
    char *buffer = malloc(READ_BYTES);
    if (!slots || !buffer) die("malloc");
    if (getrandom(seed, sizeof seed, 0) != sizeof seed) die("getrandom");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 128) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        die("cannot listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (long i = 0; i < connections; i++) {
        int stream = accept(listener, NULL, NULL);
        if (stream < 0) die("cannot accept");
        size_t held = 0;
        for (;;) {
            if (held == READ_BYTES) return fprintf(stderr, "a message is longer than the buffer\n"), 1;
            ssize_t count = read(stream, buffer + held, READ_BYTES - held);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) die("cannot read");
            if (count == 0) break;
            char *end = buffer + held + count;
            char *rest = read_messages(buffer, end);
            held = (size_t)(end - rest);
            memmove(buffer, rest, held);
        }
        close(stream);
    }
    printf("%llu %zu\n", (unsigned long long)total, used);
    return 0;
}
