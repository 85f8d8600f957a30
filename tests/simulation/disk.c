/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk below the file store: what a process sees, and what would be left if the power went.
 *
 * Files and directory entries each have two states. A file's data reach the disk with fsync() of
 * the file, entries with fsync() of the directory. Until then a loss of power keeps any subset of
 * the changed entries, and of a file nothing, a part, zeros, or all. A failed fsync() drops the
 * data from the cache's duty: the next one succeeds without writing them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "../../src/checkpoint/directory.h"
#include "../../src/checkpoint/file_calls.h"
#include "sim.h"
#include "walferry/base/assert.h"

enum { INODES = 48, ENTRIES = 12, PENDING = 64, FDS = 16, DATA_MAX = 2048, NAME_SIZE = 96 };

struct inode {
    bool used;
    size_t len;
    size_t synced_len;
    bool synced;   /* the disk has what the cache has */
    bool given_up; /* a failed sync: nobody writes it any more */
    bool damaged;
    uint8_t data[DATA_MAX];
    uint8_t on_disk[DATA_MAX];
};

struct entry {
    char name[NAME_SIZE];
    int inode; /* -1: free */
};

enum entry_change { CHANGE_SET, CHANGE_MOVE, CHANGE_REMOVE };

struct pending {
    enum entry_change change;
    char name[NAME_SIZE];
    char from[NAME_SIZE]; /* MOVE */
    int inode;
};

struct disk {
    struct inode inodes[INODES];
    struct entry entries[ENTRIES];
    struct entry durable[ENTRIES];
    struct pending pending[PENDING];
    size_t pending_count;
    unsigned lock_life;
    bool disturbed;
    bool damaged;           /* a generation, and none was saved since */
    struct lsn was_durable; /* before it was damaged */
    uint64_t full_until_ns;
    uint64_t no_links_until_ns;
};

enum { FD_FILES = FD_FIRST + 200 };

struct file {
    bool used;
    unsigned host;
    unsigned life;
    int inode; /* -1: the directory */
    bool lock;
    size_t at;
    bool read_failed;
};

static struct disk disks[HOSTS];
static struct file files[FDS];

static void clear_entries(struct entry *entries)
{
    for (size_t i = 0; i < ENTRIES; i++)
        entries[i].inode = -1;
}

void disk_reset(void)
{
    for (size_t i = 0; i < HOSTS; i++) {
        struct disk *disk = &disks[i];
        for (size_t j = 0; j < INODES; j++)
            disk->inodes[j].used = false;
        clear_entries(disk->entries);
        clear_entries(disk->durable);
        disk->pending_count = 0;
        disk->lock_life = 0;
        disk->disturbed = false;
        disk->was_durable = LSN_NONE;
        disk->damaged = false;
        disk->full_until_ns = 0;
        disk->no_links_until_ns = 0;
    }
    memset(files, 0, sizeof files);
}

void disk_heal(void)
{
    for (size_t i = 0; i < HOSTS; i++) {
        disks[i].full_until_ns = 0;
        disks[i].no_links_until_ns = 0;
    }
}

/* ---- entries ---- */

static struct entry *entry_find(struct entry *entries, const char *name)
{
    for (size_t i = 0; i < ENTRIES; i++)
        if (entries[i].inode >= 0 && strcmp(entries[i].name, name) == 0)
            return &entries[i];
    return NULL;
}

static void entry_set(struct entry *entries, const char *name, int inode)
{
    struct entry *entry = entry_find(entries, name);
    for (size_t i = 0; i < ENTRIES && entry == NULL; i++)
        if (entries[i].inode < 0)
            entry = &entries[i];
    ASSERT(entry != NULL);
    snprintf(entry->name, sizeof entry->name, "%s", name);
    entry->inode = inode;
}

static void entry_remove(struct entry *entries, const char *name)
{
    struct entry *entry = entry_find(entries, name);
    if (entry != NULL)
        entry->inode = -1;
}

static void apply(struct entry *entries, const struct pending *change)
{
    switch (change->change) {
    case CHANGE_SET:
        entry_set(entries, change->name, change->inode);
        return;
    case CHANGE_MOVE:
        entry_remove(entries, change->from);
        entry_set(entries, change->name, change->inode);
        return;
    case CHANGE_REMOVE:
        entry_remove(entries, change->name);
        return;
    }
}

static void settle(struct disk *disk)
{
    memcpy(disk->durable, disk->entries, sizeof disk->durable);
    disk->pending_count = 0;
}

static void change_entry(struct disk *disk, enum entry_change kind, const char *name,
                         const char *from, int inode)
{
    /* A journal does not grow for ever: the oldest changes are on disk by then. */
    if (disk->pending_count == PENDING)
        settle(disk);
    struct pending *pending = &disk->pending[disk->pending_count++];
    pending->change = kind;
    pending->inode = inode;
    snprintf(pending->name, sizeof pending->name, "%s", name);
    snprintf(pending->from, sizeof pending->from, "%s", from == NULL ? "" : from);
    apply(disk->entries, pending);
}

/* ---- inodes ---- */

static bool inode_in_use(const struct disk *disk, unsigned host, int inode)
{
    for (size_t i = 0; i < ENTRIES; i++)
        if (disk->entries[i].inode == inode || disk->durable[i].inode == inode)
            return true;
    for (size_t i = 0; i < disk->pending_count; i++)
        if (disk->pending[i].change != CHANGE_REMOVE && disk->pending[i].inode == inode)
            return true;
    for (size_t i = 0; i < FDS; i++)
        if (files[i].used && files[i].host == host && files[i].inode == inode)
            return true;
    return false;
}

static int inode_new(struct disk *disk, unsigned host)
{
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < INODES; i++) {
            struct inode *inode = &disk->inodes[i];
            if (inode->used && pass == 1 && !inode_in_use(disk, host, i))
                inode->used = false;
            if (!inode->used) {
                inode->used = true;
                inode->len = inode->synced_len = 0;
                inode->synced = inode->given_up = inode->damaged = false;
                return i;
            }
        }
    }
    settle(disk);
    return inode_new(disk, host);
}

/* ---- what is written there, read without walferry's own reader ---- */

static bool number_after(const struct inode *inode, const char *key, uint64_t *ret_value)
{
    char text[DATA_MAX + 1];
    memcpy(text, inode->data, inode->len);
    text[inode->len] = '\0';
    const char *at = strstr(text, key);
    if (at == NULL)
        return false;
    unsigned long long high = 0, low = 0;
    at += strlen(key);
    if (strstr(key, "lsn=") != NULL) {
        if (sscanf(at, "%llX/%llX", &high, &low) != 2)
            return false;
    } else if (sscanf(at, "%llu", &low) != 1) {
        return false;
    }
    *ret_value = (high << 32) + low;
    return true;
}

struct seen {
    bool whole;
    uint64_t sequence;
    struct lsn lsn;
    struct cursor partial;
};

/* Whole when the last line is there; a torn or damaged file has other bytes than were written. */
static struct seen look(const struct inode *inode)
{
    struct seen seen = {.whole = false};
    uint64_t commit = 0, ordinal = 0, lsn = 0;
    if (inode->damaged)
        return seen;
    seen.whole = inode->len > 20 && inode->data[inode->len - 1] == '\n' &&
                 number_after(inode, "\nlsn=", &lsn) &&
                 number_after(inode, "\nsequence=", &seen.sequence) &&
                 number_after(inode, "\npartial_commit_lsn=", &commit) &&
                 number_after(inode, "\npartial_ordinal=", &ordinal) &&
                 memmem(inode->data, inode->len, "\ncrc32c=", 8) != NULL;
    seen.lsn = lsn_make(lsn);
    seen.partial = (struct cursor){.commit_lsn = lsn_make(commit), .ordinal = (uint32_t)ordinal};
    return seen;
}

/* The file as it would be read after a loss of power, if it lost as much as it can. */
static struct inode worst(const struct inode *inode)
{
    struct inode left = *inode;
    if (!inode->synced) {
        left.len = inode->synced_len;
        memcpy(left.data, inode->on_disk, inode->synced_len);
    }
    return left;
}

bool disk_durable(unsigned host, struct lsn *ret_lsn, struct cursor *ret_partial)
{
    struct disk *disk = &disks[host];
    static const char *const NAMES[] = {"sim.checkpoint", "sim.checkpoint.previous"};
    struct seen best = {.whole = false};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        const struct entry *entry = entry_find(disk->durable, NAMES[i]);
        if (entry == NULL)
            continue;
        struct inode left = worst(&disk->inodes[entry->inode]);
        struct seen seen = look(&left);
        if (seen.whole && (!best.whole || seen.sequence > best.sequence))
            best = seen;
    }
    *ret_lsn = best.lsn;
    *ret_partial = best.partial;
    return best.whole;
}

/* ---- faults ---- */

static void lose_data(struct inode *inode)
{
    if (inode->synced)
        return;
    switch (rng_below(&sim.fate, 4)) {
    case 0:
        break; /* it had reached the disk by itself */
    case 1:
        inode->len = inode->synced_len;
        memcpy(inode->data, inode->on_disk, inode->synced_len);
        fault_fired(FAULT_CHECKPOINT_TORN);
        break;
    case 2:
        inode->len = inode->len == 0 ? 0 : rng_below(&sim.fate, inode->len);
        fault_fired(FAULT_CHECKPOINT_TORN);
        break;
    default:
        memset(inode->data, 0, inode->len);
        fault_fired(FAULT_CHECKPOINT_TORN);
        break;
    }
    inode->synced = true;
    inode->synced_len = inode->len;
    memcpy(inode->on_disk, inode->data, inode->len);
}

void disk_power_loss(unsigned host)
{
    struct disk *disk = &disks[host];
    for (size_t i = 0; i < disk->pending_count; i++) {
        if (rng_chance(&sim.fate, 500))
            apply(disk->durable, &disk->pending[i]);
        else
            fault_fired(FAULT_ENTRY_LOST);
    }
    disk->pending_count = 0;
    memcpy(disk->entries, disk->durable, sizeof disk->entries);
    for (int i = 0; i < INODES; i++)
        if (disk->inodes[i].used)
            lose_data(&disk->inodes[i]);
}

void disk_damage(unsigned host)
{
    struct disk *disk = &disks[host];
    const struct entry *entry = entry_find(disk->entries, "sim.checkpoint");
    if (entry == NULL || disk->inodes[entry->inode].len == 0)
        return;
    struct inode *inode = &disk->inodes[entry->inode];
    struct lsn lsn;
    struct cursor partial;
    if (disk_durable(host, &lsn, &partial))
        disk->was_durable = lsn_max(disk->was_durable, lsn);
    /* Both generations may be names of one file: then both are damaged. */
    size_t at = rng_below(&sim.fate, inode->len);
    inode->data[at] ^= (uint8_t)(1u << rng_below(&sim.fate, 8));
    inode->damaged = true;
    inode->synced = true;
    inode->synced_len = inode->len;
    memcpy(inode->on_disk, inode->data, inode->len);
    disk->disturbed = disk->damaged = true;
    TRACE("disk: byte %u of the newest checkpoint is damaged", at);
    fault_fired(FAULT_BITS_FLIPPED);
}

bool disk_is_damaged(unsigned host)
{
    return disks[host].damaged;
}

struct lsn disk_was_durable(unsigned host)
{
    return disks[host].was_durable;
}

bool disk_was_disturbed(unsigned host)
{
    bool disturbed = disks[host].disturbed;
    disks[host].disturbed = false;
    return disturbed;
}

void disk_clear(unsigned host)
{
    struct disk *disk = &disks[host];
    clear_entries(disk->entries);
    settle(disk);
    disk->was_durable = LSN_NONE;
}

/* ---- directory.h ---- */

static int file_open(unsigned host, int inode, bool lock)
{
    for (int i = 0; i < FDS; i++) {
        if (files[i].used)
            continue;
        files[i] = (struct file){
            .used = true, .host = host, .life = life_now->id, .inode = inode, .lock = lock};
        return FD_FILES + i;
    }
    UNREACHABLE();
}

static struct file *file_of(int fd)
{
    ASSERT(fd >= FD_FILES && fd < FD_FILES + FDS && files[fd - FD_FILES].used);
    return &files[fd - FD_FILES];
}

static void close_file(struct file *file)
{
    if (file->lock && disks[file->host].lock_life == file->life)
        disks[file->host].lock_life = 0;
    file->used = false;
}

bool disk_close(int fd)
{
    if (fd < FD_FILES || fd >= FD_FILES + FDS)
        return false;
    close_file(file_of(fd));
    return true;
}

void disk_life_gone(struct life *life)
{
    for (size_t i = 0; i < FDS; i++)
        if (files[i].used && files[i].life == life->id)
            close_file(&files[i]);
}

bool directory_open(const char *path, int *ret_fd, struct err *err)
{
    (void)path;
    (void)err;
    edge(EDGE_FILE);
    life_now->damaged = disks[life_now->host].damaged;
    *ret_fd = file_open(life_now->host, -1, false);
    return true;
}

bool directory_lock(int directory, const char *path, const char *name, int *ret_fd, struct err *err)
{
    (void)directory;
    edge(EDGE_FILE);
    struct disk *disk = &disks[life_now->host];
    if (disk->lock_life != 0) {
        discard(err_set(err, ERR_CHECKPOINT_LOCKED, "another process holds the lock"));
        discard(err_where(err, "%s/%s", path, name));
        return err_hint(err, "one relay may run a pipeline");
    }
    disk->lock_life = life_now->id;
    *ret_fd = file_open(life_now->host, -1, true);
    return true;
}

void directory_sweep(int directory, const char *prefix)
{
    (void)directory;
    struct disk *disk = &disks[life_now->host];
    edge(EDGE_FILE);
    for (size_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &disk->entries[i];
        if (entry->inode >= 0 && strncmp(entry->name, prefix, strlen(prefix)) == 0)
            change_entry(disk, CHANGE_REMOVE, entry->name, NULL, -1);
    }
}

/* ---- file_calls.h ---- */

static struct disk *disk_now(void)
{
    return &disks[life_now->host];
}

static bool refuses(enum fault fault, int number)
{
    if (!fault_take(fault))
        return false;
    TRACE("disk: %s", TEXT(fault_name(fault)));
    errno = number;
    return true;
}

static int sim_open(int directory, const char *name, int flags, mode_t mode)
{
    (void)mode;
    struct disk *disk = disk_now();
    ASSERT(file_of(directory)->inode == -1);
    edge(EDGE_FILE);
    if ((flags & O_DIRECTORY) != 0)
        return file_open(life_now->host, -1, false);
    struct entry *entry = entry_find(disk->entries, name);
    if ((flags & O_CREAT) == 0) {
        if (entry != NULL)
            return file_open(life_now->host, entry->inode, false);
        errno = ENOENT;
        return -1;
    }
    if (refuses(FAULT_OPEN_FAILS, EACCES))
        return -1;
    if (sim.now_ns < disk->full_until_ns) {
        errno = ENOSPC;
        return -1;
    }
    CHECK(entry == NULL, "a new checkpoint file %s is there already", name);
    int inode = inode_new(disk, life_now->host);
    change_entry(disk, CHANGE_SET, name, NULL, inode);
    return file_open(life_now->host, inode, false);
}

static void was_read(const struct inode *inode)
{
    struct seen seen = look(inode);
    struct life *life = life_now;
    if (!seen.whole || (life->has_loaded && lsn_cmp(seen.lsn, life->loaded) < 0))
        return;
    life->has_loaded = true;
    life->loaded = seen.lsn;
    life->partial = seen.partial;
}

static ssize_t sim_read(int fd, void *into, size_t len)
{
    struct file *file = file_of(fd);
    struct disk *disk = disk_now();
    ASSERT(file->inode >= 0);
    struct inode *inode = &disk->inodes[file->inode];
    edge(EDGE_FILE);
    if (file->at == 0 && refuses(FAULT_READ_FAILS, EIO)) {
        disk->disturbed = disk->damaged = life_now->damaged = true;
        return -1;
    }
    size_t left = inode->len - file->at;
    size_t got = len < left ? len : left;
    memcpy(into, inode->data + file->at, got);
    file->at += got;
    if (got == 0)
        was_read(inode);
    return (ssize_t)got;
}

static ssize_t sim_write(int fd, const void *from, size_t len)
{
    struct file *file = file_of(fd);
    struct disk *disk = disk_now();
    ASSERT(file->inode >= 0);
    struct inode *inode = &disk->inodes[file->inode];
    edge(EDGE_FILE);
    if (sim.now_ns < disk->full_until_ns || fault_take(FAULT_NO_SPACE)) {
        disk->full_until_ns = sim.now_ns + rng_between(&sim.fate, 1, 4000) * MS;
        TRACE("disk: full for %u ms", (disk->full_until_ns - sim.now_ns) / MS);
        errno = ENOSPC;
        return -1;
    }
    if (refuses(FAULT_WRITE_FAILS, EIO))
        return -1;
    if (fault_take(FAULT_WRITE_CUT)) {
        if (rng_chance(&sim.fate, 500)) {
            errno = EINTR;
            return -1;
        }
        len = len > 1 ? 1 + rng_below(&sim.fate, len - 1) : len;
    }
    ASSERT(inode->len + len <= DATA_MAX);
    memcpy(inode->data + inode->len, from, len);
    inode->len += len;
    inode->synced = false;
    return (ssize_t)len;
}

static int sync_directory(struct disk *disk)
{
    if (refuses(FAULT_ENTRY_SYNC_FAILS, EIO)) {
        if (rng_chance(&sim.fate, 500))
            settle(disk);
        return -1;
    }
    settle(disk);
    disk->damaged = false;
    return 0;
}

static int sim_sync(int fd)
{
    struct file *file = file_of(fd);
    struct disk *disk = disk_now();
    edge(EDGE_FILE);
    if (file->inode < 0)
        return sync_directory(disk);
    struct inode *inode = &disk->inodes[file->inode];
    if (inode->given_up)
        return 0;
    if (refuses(FAULT_SYNC_FAILS, EIO)) {
        inode->given_up = true;
        return -1;
    }
    inode->synced = true;
    inode->synced_len = inode->len;
    memcpy(inode->on_disk, inode->data, inode->len);
    /* A journal that is written for one file takes the entries of others along. */
    if (rng_chance(&sim.net, 200))
        settle(disk);
    return 0;
}

static int sim_close(int fd)
{
    edge(EDGE_FILE);
    bool file = file_of(fd)->inode >= 0;
    close_file(file_of(fd));
    return file && refuses(FAULT_CLOSE_FAILS, EIO) ? -1 : 0;
}

static int sim_link(int directory, const char *from, const char *to)
{
    (void)directory;
    struct disk *disk = disk_now();
    edge(EDGE_FILE);
    if (sim.now_ns < disk->no_links_until_ns || fault_take(FAULT_LINK_FAILS)) {
        if (sim.now_ns >= disk->no_links_until_ns)
            disk->no_links_until_ns = sim.now_ns + rng_between(&sim.fate, 1, 5000) * MS;
        errno = EPERM;
        return -1;
    }
    const struct entry *entry = entry_find(disk->entries, from);
    if (entry == NULL || entry_find(disk->entries, to) != NULL) {
        errno = entry == NULL ? ENOENT : EEXIST;
        return -1;
    }
    change_entry(disk, CHANGE_SET, to, NULL, entry->inode);
    return 0;
}

static int sim_rename(int directory, const char *from, const char *to)
{
    (void)directory;
    struct disk *disk = disk_now();
    edge(EDGE_FILE);
    const struct entry *entry = entry_find(disk->entries, from);
    if (entry == NULL) {
        errno = ENOENT;
        return -1;
    }
    if (refuses(FAULT_RENAME_FAILS, EIO))
        return -1;
    struct seen seen = look(&disk->inodes[entry->inode]);
    TRACE("disk: checkpoint %u, %x and %u of %x", seen.sequence, seen.lsn.value,
          seen.partial.ordinal, seen.partial.commit_lsn.value);
    change_entry(disk, CHANGE_MOVE, to, from, entry->inode);
    return 0;
}

static int sim_unlink(int directory, const char *name)
{
    (void)directory;
    struct disk *disk = disk_now();
    edge(EDGE_FILE);
    if (entry_find(disk->entries, name) == NULL) {
        errno = ENOENT;
        return -1;
    }
    change_entry(disk, CHANGE_REMOVE, name, NULL, -1);
    return 0;
}

const struct file_calls file_calls_real = {
    .open_at = sim_open,
    .read = sim_read,
    .write = sim_write,
    .sync = sim_sync,
    .close = sim_close,
    .link_at = sim_link,
    .rename_at = sim_rename,
    .unlink_at = sim_unlink,
};
