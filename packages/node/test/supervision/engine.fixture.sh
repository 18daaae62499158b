#!/bin/sh
# A stand-in for a container engine: `run` runs the command after the image `any`, in a session of its own,
# and keeps a file per container; the other commands act on the process that the file names.
name_after() { while [ $# -gt 0 ]; do [ "$1" = --name ] && { echo "$2"; return; }; shift; done; }
for last; do :; done
case $1 in
  run)
    name=$(name_after "$@")
    while [ "$1" != any ]; do shift; done
    shift
    setsid "$@" & echo $! > "$ENGINE_STATE/$name"
    trap 'kill -TERM $!' TERM
    wait $!; code=$?
    rm -f "$ENGINE_STATE/$name"
    exit $code
    ;;
  kill) kill -KILL "$(cat "$ENGINE_STATE/$last")" ;;
  pause) kill -STOP "$(cat "$ENGINE_STATE/$last")" ;;
  unpause) kill -CONT "$(cat "$ENGINE_STATE/$last")" ;;
  # Its process may be gone already, and its client killed before it could remove the file.
  rm) kill -KILL "$(cat "$ENGINE_STATE/$last")"; rm -f "$ENGINE_STATE/$last" ;;
  *) exit 64 ;;
esac
