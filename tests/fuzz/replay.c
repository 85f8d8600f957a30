/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay: a main() for fuzz targets that runs them over kept input: files, or all the files of a
 * directory. Fails when there is nothing to run, so that an empty corpus is noticed.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How many inputs were run. */
static size_t replayed;

static int replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    /* Exactly as large as the input, so that a sanitizer sees what reads past it. */
    uint8_t *data = malloc(size == 0 ? 1 : size);
    int status = -1;
    if (file != NULL && data != NULL && fread(data, 1, size, file) == size) {
        status = LLVMFuzzerTestOneInput(data, size);
        replayed++;
    } else {
        perror(path);
    }
    free(data);
    if (file != NULL) {
        fclose(file);
    }
    return status;
}

static int replay_path(const char *path);

static int replay_directory(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        perror(path);
        return -1;
    }
    int status = 0;
    for (struct dirent *entry = readdir(directory); entry != NULL && status == 0;
         entry = readdir(directory)) {
        char inner[4096];
        int length = snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && length > 0 && (size_t)length < sizeof(inner)) {
            status = replay_path(inner);
        }
    }
    closedir(directory);
    return status;
}

static int replay_path(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        perror(path);
        return -1;
    }
    return S_ISDIR(info.st_mode) ? replay_directory(path) : replay_file(path, (size_t)info.st_size);
}

int main(int argc, char **argv)
{
    int status = 0;
    for (int i = 1; i < argc && status == 0; i++) {
        status = replay_path(argv[i]);
    }
    fprintf(stderr, "%zu inputs\n", replayed);
    return status == 0 && replayed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
