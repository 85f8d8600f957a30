/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill_loop [--kills N] [--seed S] [--mode MODE]...: kill -9 of the relay, of PostgreSQL's
 * postmaster, of a walsender and of the broker, at random moments under load, in every mode at
 * once; then everything is delivered and judged (verdict.h).
 *
 * Rounds of at most KILLS_A_ROUND kills have servers of their own. The seed decides who is killed,
 * in which order and after which pauses; the machine decides what is hit.
 */
#include <arpa/inet.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "lane.h"
#include "verdict.h"
#include "writers.h"

#define KILLS_A_ROUND 100
#define WRITERS       4
#define PAUSE_MAX_MS  400
#define SAMPLE_MS     150
/* Of ten kills, so many wait until what was killed before has done something. */
#define PATIENT 7
/* While the broker is away, at most. */
#define KILLS_MEANWHILE 4
#define LOG_TAIL_BYTES  4000

enum victim { VICTIM_RELAY, VICTIM_POSTMASTER, VICTIM_WALSENDER, VICTIM_BROKER, VICTIM_COUNT };

static const char *const victim_names[] = {"relay", "postmaster", "walsender", "broker"};
/* Of a hundred kills. */
static const unsigned shares[] = {52, 18, 18, 12};

struct options {
    unsigned kills;
    uint64_t seed;
    bool modes[MODE_COUNT];
};

struct round {
    uint64_t seed;
    unsigned kills;
    enum victim deck[KILLS_A_ROUND];
    struct pg_server *pg;
    struct kafka_server *kafka;
    struct world *world;
    struct oracle *oracle;
    struct lane *lanes[MODE_COUNT];
    size_t lane_count;
    struct writers *writers;
    bool kafka_runs;
    unsigned meanwhile; /* kills since the broker went away */
    unsigned killed[VICTIM_COUNT];
    uint64_t sampled_ms;
    uint64_t longest_ms; /* until a lane moved again, both servers running */
};

/* ---- servers ------------------------------------------------------------------------------- */

static void open_round(struct round *round, const bool *modes)
{
    round->pg = pg_start("max_prepared_transactions = 20\n"
                         "deadlock_timeout = 100ms\n"
                         "max_wal_size = 4GB\n");
    round->kafka = kafka_start("broker.session.timeout.ms=1500\n");
    round->kafka_runs = true;
    round->world = world_new_on("kill", round->pg, round->kafka);
    for (int mode = 0; mode < MODE_COUNT; mode++)
        if (modes[mode])
            round->lanes[round->lane_count++] = lane_new(round->world, (enum mode)mode);
    PQsetNoticeProcessor(round->world->db, say_nothing, NULL);
    writers_prepare(round->world);
    round->oracle = oracle_new(round->world, "outbox.event");
    round->oracle->keep_payloads = true;
    for (size_t i = 0; i < round->lane_count; i++)
        lane_start(round->lanes[i], true, true);
    for (size_t i = 0; i < round->lane_count; i++)
        relay_wait_ready(round->lanes[i]->relay);
    round->writers = writers_start(round->world, WRITERS, round->seed);
}

static void close_round(struct round *round)
{
    for (size_t i = 0; i < round->lane_count; i++)
        lane_free(round->lanes[i]);
    oracle_free(round->oracle);
    world_free(round->world);
    pg_free(round->pg);
    kafka_free(round->kafka);
}

/* Asking a broker that is not there takes seconds. */
static bool listens(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return ok;
}

static void tend(struct round *round)
{
    if (!round->kafka_runs && listens(round->kafka->port) && kafka_answers(round->kafka))
        round->kafka_runs = true;
    for (size_t i = 0; i < round->lane_count; i++)
        lane_tend(round->lanes[i], true, round->kafka_runs);
    if (!round->kafka_runs || now_ms() < round->sampled_ms + SAMPLE_MS)
        return;
    for (size_t i = 0; i < round->lane_count; i++)
        lane_sample(round->lanes[i]);
    round->sampled_ms = now_ms();
}

static void rest(struct round *round, uint64_t ms)
{
    uint64_t until = now_ms() + ms;
    while (now_ms() < until) {
        tend(round);
        pause_ms(10);
    }
}

static bool all_moved(const struct round *round)
{
    for (size_t i = 0; i < round->lane_count; i++)
        if (!lane_moved(round->lanes[i]))
            return false;
    return true;
}

static const char *who_stands(const struct round *round)
{
    const char *names = "";
    for (size_t i = 0; i < round->lane_count; i++)
        if (!lane_moved(round->lanes[i])) {
            char *body = text("no answer");
            relay_http(round->lanes[i]->relay, "/status", &body);
            names = text("%s%s: %s\n", names, round->lanes[i]->name, body);
        }
    return names;
}

static void wait_moved(struct round *round)
{
    uint64_t start = 0;
    while (!all_moved(round)) {
        tend(round);
        if (round->kafka_runs && start == 0)
            start = now_ms();
        REQUIRE(start == 0 || now_ms() < start + DEADLINE_MS, "a relay stands still:\n%s",
                who_stands(round));
        pause_ms(10);
    }
    if (start != 0 && now_ms() - start > round->longest_ms)
        round->longest_ms = now_ms() - start;
}

/* ---- kills --------------------------------------------------------------------------------- */

static void shuffle_deck(struct round *round)
{
    unsigned count = 0;
    for (int victim = VICTIM_COUNT - 1; victim > VICTIM_RELAY; victim--)
        for (unsigned i = 0; i < (shares[victim] * round->kills + 50) / 100; i++)
            round->deck[count++] = (enum victim)victim;
    while (count < round->kills)
        round->deck[count++] = VICTIM_RELAY;
    for (unsigned i = count; i > 1; i--) {
        uint64_t other = draw(&round->seed, i);
        enum victim swap = round->deck[i - 1];
        round->deck[i - 1] = round->deck[other];
        round->deck[other] = swap;
    }
}

static struct lane *choose_lane(struct round *round)
{
    /* In turn, so that each mode has its share. */
    return round->lanes[round->killed[VICTIM_RELAY] % round->lane_count];
}

static void kill_relay(struct round *round, bool pg_runs)
{
    struct lane *lane = choose_lane(round);
    lane_kill(lane, round->kafka_runs);
    round->killed[VICTIM_RELAY]++;
    lane_start(lane, pg_runs, round->kafka_runs);
}

static void server_is_back(struct round *round)
{
    world_reconnect(round->world);
    PQsetNoticeProcessor(round->world->db, say_nothing, NULL);
    for (size_t i = 0; i < round->lane_count; i++)
        lane_server_crashed(round->lanes[i]);
}

static void kill_postmaster(struct round *round)
{
    pg_stop(round->pg, PG_KILL);
    round->killed[VICTIM_POSTMASTER]++;
    pause_ms((int)draw(&round->seed, PAUSE_MAX_MS));
    pg_resume(round->pg);
    server_is_back(round);
}

/* The postmaster takes this for a crash, and restarts all of its processes. */
static void kill_walsender(struct round *round)
{
    const struct lane *lane = round->lanes[draw(&round->seed, round->lane_count)];
    const char *pid = NULL;
    wait_until((pid = sql_value(round->world,
                                "SELECT active_pid FROM pg_replication_slots WHERE slot_name = "
                                "'%s'",
                                lane->slot)) != NULL,
               "%s: the slot is not taken:\n%s", lane->name, relay_errors(lane->relay));
    kill((pid_t)strtol(pid, NULL, 10), SIGKILL);
    round->killed[VICTIM_WALSENDER]++;
    wait_until(PQstatus(round->world->db) == CONNECTION_BAD ||
                   (PQclear(PQexec(round->world->db, "SELECT 1")), false),
               "the server does not restart");
    wait_until(PQping(round->world->conninfo) == PQPING_OK, "the server does not come back:\n%s",
               read_file(round->pg->log));
    server_is_back(round);
}

static void kill_broker(struct round *round)
{
    kafka_kill(round->kafka);
    round->killed[VICTIM_BROKER]++;
    round->kafka_runs = false;
    round->meanwhile = 0;
    for (size_t i = 0; i < round->lane_count; i++)
        lane_broker_killed(round->lanes[i]);
    pause_ms((int)draw(&round->seed, PAUSE_MAX_MS));
    kafka_launch(round->kafka);
}

static void kill_one(struct round *round, enum victim victim)
{
    switch (victim) {
    case VICTIM_RELAY:
        kill_relay(round, true);
        return;
    case VICTIM_POSTMASTER:
        kill_postmaster(round);
        return;
    case VICTIM_WALSENDER:
        kill_walsender(round);
        return;
    case VICTIM_BROKER:
        kill_broker(round);
        return;
    case VICTIM_COUNT:
        break;
    }
}

static void kill_all(struct round *round)
{
    for (unsigned i = 0; i < round->kills; i++) {
        bool patient = draw(&round->seed, 10) < PATIENT;
        bool enough = round->meanwhile >= KILLS_MEANWHILE || round->deck[i] == VICTIM_BROKER;
        if (round->kafka_runs ? patient : enough)
            wait_moved(round);
        rest(round, draw(&round->seed, PAUSE_MAX_MS));
        round->meanwhile++;
        kill_one(round, round->deck[i]);
    }
}

/* ---- rounds -------------------------------------------------------------------------------- */

/* Idle progress is confirmed lazily, so that the last event is what to wait for. */
static void wait_delivered(struct round *round)
{
    writers_stop(round->writers);
    sql(round->world, "SELECT write_rows(0, %d, %d, 1)", KEYS, KEYS);
    oracle_read(round->oracle);
    uint64_t end = round->oracle->rows[round->oracle->count - 1].end;
    for (size_t i = 0; i < round->lane_count; i++) {
        struct lane *lane = round->lanes[i];
        uint64_t give_up = now_ms() + 2 * DEADLINE_MS;
        lane->confirmed = 0;
        while (lane->confirmed < end) {
            REQUIRE(now_ms() < give_up, "%s stays at %llX, before %llX:\n%s", lane->name,
                    (unsigned long long)lane->confirmed, (unsigned long long)end,
                    relay_errors(lane->relay));
            tend(round);
            pause_ms(50);
        }
    }
}

static void print_kills(const struct round *round)
{
    printf("kills:");
    for (int victim = 0; victim < VICTIM_COUNT; victim++)
        printf(" %s %u%s", victim_names[victim], round->killed[victim],
               victim == VICTIM_BROKER ? "" : ",");
    printf("; of relays:");
    for (size_t i = 0; i < round->lane_count; i++)
        printf(" %s %d%s", round->lanes[i]->name, round->lanes[i]->kills,
               i + 1 == round->lane_count ? "\n" : ",");
    printf("longest until a relay moved again: %llu ms\n", (unsigned long long)round->longest_ms);
}

static void print_verdict(const struct lane *lane, const struct verdict *verdict)
{
    printf("%-13s %zu events, %zu records, %zu again in %zu stretches, %zu lost, %zu phantoms, %zu "
           "out of order",
           lane->name, verdict->events, verdict->records, verdict->again, verdict->replays,
           verdict->lost, verdict->phantoms, verdict->order);
    if (verdict->transactions > 0)
        printf(", %zu transactions, %zu records taken back", verdict->transactions,
               verdict->taken_back);
    if (!verdict_is_good(verdict))
        printf(", %zu of other bytes, %zu again without reason, %zu claims too early, %zu torn, "
               "%zu positions wrong",
               verdict->bytes, verdict->unfounded, verdict->early, verdict->torn, verdict->chain);
    if (lane->ended > 0)
        printf(", %d times ended by itself", lane->ended);
    printf("\n");
}

/* Kills that leave no trace hit nothing. */
static bool left_traces(const struct lane *lane, const struct verdict *verdict, unsigned kills)
{
    bool traces = lane->mode == MODE_EXACTLY_ONCE ? verdict->taken_back > 0 : verdict->again > 0;
    if (!traces && kills >= KILLS_A_ROUND)
        printf("%s: no kill hit anything\n", lane->name);
    return traces || kills < KILLS_A_ROUND;
}

static bool judge_round(struct round *round)
{
    int64_t counted[KEYS];
    bool good = true;
    for (size_t i = 0; i < round->lane_count; i++)
        lane_end(round->lanes[i]);
    oracle_read(round->oracle);
    for (int key = 0; key < KEYS; key++)
        counted[key] = writers_committed(round->world, key);
    print_kills(round);
    for (size_t i = 0; i < round->lane_count; i++) {
        struct verdict verdict = verdict_of(round->lanes[i], round->oracle, counted);
        print_verdict(round->lanes[i], &verdict);
        good = good && verdict_is_good(&verdict) &&
               left_traces(round->lanes[i], &verdict, round->kills);
    }
    fflush(stdout);
    return good;
}

static bool run_round(const bool *modes, uint64_t seed, unsigned kills)
{
    struct round round = {.seed = seed, .kills = kills};
    shuffle_deck(&round);
    open_round(&round, modes);
    kill_all(&round);
    if (!round.kafka_runs)
        wait_moved(&round);
    wait_delivered(&round);
    bool good = judge_round(&round);
    if (good)
        close_round(&round);
    return good;
}

/* ---- the program --------------------------------------------------------------------------- */

static void print_tail(const char *path)
{
    char *content = read_file(path);
    size_t len = strlen(content);
    fprintf(stderr, "---- %s\n%s\n", path,
            content + (len > LOG_TAIL_BYTES ? len - LOG_TAIL_BYTES : 0));
    free(content);
}

/* The newest of each relay; names begin with the number of the start. */
static void print_logs(void)
{
    glob_t dirs;
    if (glob(text("%s/*/relay*", harness_dir()), 0, NULL, &dirs) != 0)
        return;
    for (size_t i = 0; i < dirs.gl_pathc; i++) {
        const char *newest = NULL;
        for (unsigned start = 1;
             access(text("%s/%u-run.err", dirs.gl_pathv[i], start + 1), R_OK) == 0; start++)
            newest = text("%s/%u-run.err", dirs.gl_pathv[i], start + 1);
        if (newest != NULL)
            print_tail(newest);
    }
    globfree(&dirs);
}

/* In a process of its own, which takes its servers and its memory with it. */
static int run_forked(const struct options *options, uint64_t seed, unsigned kills)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        bool good = run_round(options->modes, seed, kills);
        fflush(NULL);
        _exit(good ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return EXIT_FAILURE;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

static int run_all(void *context)
{
    const struct options *options = context;
    unsigned done = 0;
    for (unsigned number = 0; done < options->kills; number++) {
        unsigned kills =
            options->kills - done < KILLS_A_ROUND ? options->kills - done : KILLS_A_ROUND;
        uint64_t seed = options->seed + number;
        uint64_t start = now_ms();
        printf("round of %u kills, seed %llu\n", kills, (unsigned long long)seed);
        fflush(stdout);
        if (run_forked(options, seed, kills) != EXIT_SUCCESS) {
            print_logs();
            printf("FAILED: kill_loop --seed %llu --kills %u\n", (unsigned long long)seed, kills);
            return EXIT_FAILURE;
        }
        printf("%llu s\n", (unsigned long long)(now_ms() - start) / 1000);
        done += kills;
    }
    printf("%u kills survived\n", done);
    return EXIT_SUCCESS;
}

static bool choose_mode(struct options *options, const char *name)
{
    for (int mode = 0; mode < MODE_COUNT; mode++)
        if (strcmp(mode_name((enum mode)mode), name) == 0)
            return options->modes[mode] = true;
    return false;
}

static bool parse(struct options *options, int argc, char **argv)
{
    bool chosen = false;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            return false;
        if (strcmp(argv[i], "--kills") == 0)
            options->kills = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            options->seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--mode") == 0 && choose_mode(options, argv[i + 1]))
            chosen = true;
        else
            return false;
    }
    for (int mode = 0; mode < MODE_COUNT && !chosen; mode++)
        options->modes[mode] = true;
    return options->kills > 0;
}

int main(int argc, char **argv)
{
    struct options options = {.kills = KILLS_A_ROUND};
    uint32_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        return EXIT_FAILURE;
    options.seed = seed;
    if (!parse(&options, argc, argv)) {
        fprintf(stderr, "usage: kill_loop [--kills N] [--seed S] [--mode "
                        "file|kafka|slot|exactly_once]...\n");
        return 64;
    }
    return harness_keep(run_all, &options);
}
