/** Whether a URL's host name or address means this machine by its form alone (RFC 6761 § 6.3). */
export function isLoopbackHost(hostname: string): boolean {
  return /^(?:.*\.)?localhost\.?$|^127\.\d+\.\d+\.\d+$|^\[::1\]$/.test(hostname)
}
