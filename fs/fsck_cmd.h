/*
 * fsck_cmd: `tidefs fsck DATA_DIR [--repair]`.
 */
#ifndef TIDE_FS_FSCK_CMD_H
#define TIDE_FS_FSCK_CMD_H

/* Arguments behind "fsck". Exit code: 0 nothing wrong (any more), 1 problems, 2 wrong use. */
int cmd_fsck(int argc, char **argv);

#endif
