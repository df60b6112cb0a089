// What commands and daemon say to each other over the unix sockets: one JSON line each way, then the connection ends.
//
//   -> {"edge-mqtt":1,"command":"cluster join","args":{"address":"gw-2"}}\n
//   <- {"edge-mqtt":1,"ok":true,"result":...}\n            or   {"edge-mqtt":1,"ok":false,"error":"in words"}\n

export const PROTOCOL = 1
/** Bytes of the longest request; what asks for more is not one of our commands. */
export const REQUEST_BYTES_MAX = 64 * 1024
/** Bytes of the longest answer that a command waits for: the status of a full cluster is far below. */
export const RESPONSE_BYTES_MAX = 64 * 1024 * 1024

export interface Request {
  readonly command: string
  readonly args: Readonly<Record<string, unknown>>
}

export type Response = { readonly ok: true; readonly result: unknown } | { readonly ok: false; readonly error: string }

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function parse(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line)
    return isObject(value) ? value : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

export const encodeRequest = (request: Request): string => `${JSON.stringify({ 'edge-mqtt': PROTOCOL, ...request })}\n`
export const encodeResponse = (response: Response): string =>
  `${JSON.stringify({ 'edge-mqtt': PROTOCOL, ...response })}\n`

/** The request of a line, or what is wrong with it in words for the answer. */
export function decodeRequest(line: string): Request | string {
  const value = parse(line)
  if (value === null) return 'not a request: a JSON object on one line would be one'
  if (value['edge-mqtt'] !== PROTOCOL) {
    return `this daemon speaks version ${PROTOCOL} of the control protocol: use the edge-mqtt command it was installed with`
  }
  const { command, args = {} } = value
  return typeof command === 'string' && isObject(args)
    ? { command, args }
    : 'not a request: command or args are missing'
}

export function decodeResponse(line: string): Response | null {
  const value = parse(line)
  if (value === null || value['edge-mqtt'] !== PROTOCOL) return null
  if (value['ok'] === true) return { ok: true, result: value['result'] }
  return typeof value['error'] === 'string' ? { ok: false, error: value['error'] } : null
}
