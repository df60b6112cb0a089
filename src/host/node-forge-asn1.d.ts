// node-forge's ASN.1 by itself; its types come with the whole only.
declare module 'node-forge/lib/asn1.js' {
  import { asn1 } from 'node-forge'

  export default asn1
}
