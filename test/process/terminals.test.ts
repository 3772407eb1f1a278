import { execFileSync } from 'node:child_process'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { programPath } from '../cli/program.ts'
import { Place, until } from './place.ts'

let place: Place
beforeEach(() => {
  place = new Place()
})
afterEach(() => place.end())

/** Two real terminals side by side in one tmux, whose server and configuration are its own. */
class Terminals {
  readonly #socket: string
  readonly #directory: string
  readonly panes: readonly [string, string]

  constructor(directory: string) {
    this.#directory = directory
    this.#socket = `${directory}/tmux`
    const shell = ['env', '-i', `PATH=${process.env.PATH ?? ''}`, 'TERM=screen', 'LC_ALL=C.UTF-8', 'sh']
    const first = this.#tmux('new-session', '-d', '-x', '200', '-y', '50', '-P', '-F', '#{pane_id}', ...shell)
    const second = this.#tmux('split-window', '-h', '-P', '-F', '#{pane_id}', ...shell)
    this.panes = [first.trim(), second.trim()]
  }

  /** Types a line, letter by letter, and Enter. */
  type(pane: string, line: string): void {
    this.#tmux('send-keys', '-t', pane, '-l', line)
    this.#tmux('send-keys', '-t', pane, 'Enter')
  }

  /** Presses a key by its tmux name, such as C-d. */
  press(pane: string, key: string): void {
    this.#tmux('send-keys', '-t', pane, key)
  }

  /** What the terminal shows, long lines joined. */
  screen(pane: string): string {
    return this.#tmux('capture-pane', '-p', '-J', '-t', pane)
  }

  /** Ends everything that was started in the terminals, also in the background, and tmux. */
  end(): void {
    const shells = this.#tmux('list-panes', '-s', '-F', '#{pane_pid}')
      .split('\n')
      .filter((pid) => pid !== '')
    for (const pid of execFileSync('ps', ['-o', 'pid=', '--sid', shells.join(',')], { encoding: 'utf8' }).split('\n'))
      if (pid.trim() !== '' && !shells.includes(pid.trim())) killIfThere(Number(pid))
    this.#tmux('kill-server')
  }

  #tmux(...words: string[]): string {
    return execFileSync('tmux', ['-S', this.#socket, '-f', '/dev/null', ...words], { cwd: this.#directory, encoding: 'utf8' })
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended meanwhile.
  }
}

describe('two people at two terminals', () => {
  it('[I3] chat: each reads what the other types, in order, and Ctrl-D and Ctrl-C end in good order', {
    timeout: 60_000,
  }, async () => {
    await place.start()
    const terminals = new Terminals(place.ground.directory)
    try {
      const [left, right] = terminals.panes
      const shows = (pane: string, text: string | RegExp) =>
        until(
          () => (typeof text === 'string' ? terminals.screen(pane).includes(text) : text.test(terminals.screen(pane))),
          () => `${text} is not shown:\n${terminals.screen(left)}\n${terminals.screen(right)}`,
        )
      const program = `'${process.execPath}' '${programPath}'`
      for (const [pane, me, you] of [
        [left, 'alice', 'bob'],
        [right, 'bob', 'alice'],
      ] as const) {
        terminals.type(pane, `cd '${place.ground.directory}'; alias posthaste="${program.replaceAll('"', '')}"; PS1='$ '; clear`)
        terminals.type(pane, `posthaste listen --as ${me} & posthaste send --as ${me} --to ${you}; echo "send ended with $?"`)
        await shows(pane, 'Type messages, a line each')
      }
      const talk = [
        [left, right, 'alice', 'Guten Abend, Zoë! 🌙'],
        [right, left, 'bob', 'Good evening; how was the ride?'],
        [left, right, 'alice', 'Long. "Rain" & $fog | all \\ the way.'],
        [right, left, 'bob', "I've put the kettle on."],
      ] as const
      for (const [from, to, name, text] of talk) {
        terminals.type(from, text)
        await shows(to, `${name}: ${text}`)
      }
      const places = talk
        .filter(([, to]) => to === right)
        .map(([, , name, text]) => terminals.screen(right).indexOf(`${name}: ${text}`))
      expect(places).toEqual([...places].sort((a, b) => a - b))
      terminals.press(left, 'C-d')
      await shows(left, 'send ended with 0')
      expect(terminals.screen(left)).toMatch(/2 messages sent/)
      terminals.type(left, 'fg')
      // The shell repeats the line that it goes on with; before that, Ctrl-C would be the shell's.
      await shows(left, /listen --as alice$/m)
      terminals.press(left, 'C-c')
      terminals.type(left, 'echo "listen ended with $?"')
      await shows(left, /listen ended with 0/)
      terminals.type(right, 'still there?')
      terminals.type(left, 'posthaste listen --as alice --count 1 --raw')
      await shows(left, /^still there\?$/m)
    } finally {
      terminals.end()
    }
  })
})
