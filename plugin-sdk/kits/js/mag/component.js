// What the component exports: your sender, joined to the contract and to the real network.

import * as mine from '../sender.js';
import { request } from './http.js';
import { component } from './sdk.js';

export const sender = component(mine, request);
