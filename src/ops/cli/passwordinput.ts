// A password from people: typed twice without showing it, or as the first line of what is piped in.

import { Ending, Exit } from '../exit.ts'

const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const BACKSPACES = ['\u007f', '\b']
const BYTES_MAX = 64 * 1024

export async function readPassword(name: string): Promise<string> {
  if (!process.stdin.isTTY) return firstLine()
  const first = await hidden(`Password for ${name}: `)
  const again = await hidden('Again: ')
  if (first !== again) throw new Ending(Exit.usage, 'the two are not the same: nothing was changed')
  return first
}

async function firstLine(): Promise<string> {
  let text = ''
  process.stdin.setEncoding('utf8')
  for await (const piece of process.stdin) {
    text += String(piece)
    if (text.includes('\n') || text.length > BYTES_MAX) break
  }
  return text.split('\n')[0]!.replace(/\r$/, '')
}

function hidden(prompt: string): Promise<string> {
  const { stdin, stderr } = process
  stderr.write(prompt)
  stdin.setRawMode(true)
  stdin.setEncoding('utf8')
  stdin.resume()
  return new Promise((resolve, reject) => {
    let typed = ''
    const end = (finish: () => void) => {
      stdin.off('data', take)
      stdin.setRawMode(false)
      stdin.pause()
      stderr.write('\n')
      finish()
    }
    const take = (text: string) => {
      for (const letter of text) {
        if (letter === '\r' || letter === '\n' || letter === CTRL_D) return end(() => resolve(typed))
        if (letter === CTRL_C) return end(() => reject(new Ending(Exit.usage, 'nothing was changed')))
        typed = BACKSPACES.includes(letter) ? [...typed].slice(0, -1).join('') : typed + letter
      }
    }
    stdin.on('data', take)
  })
}
