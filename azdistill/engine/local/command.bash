# bash reads this file before the command of a node: in the command itself, it would be part of bash's errors.

# On SIGTERM, the shell waits for its current program, which may be saving, before it exits. Else only the shell would end.
trap 'exit 143' TERM

# Programs of the command that run bash do not read it, but the file that the user has in its place.
if [ -n "${AZDISTILL_BASH_ENV-}" ]; then
  export BASH_ENV=$AZDISTILL_BASH_ENV
  unset AZDISTILL_BASH_ENV
  . "$BASH_ENV"
else
  unset BASH_ENV
fi
